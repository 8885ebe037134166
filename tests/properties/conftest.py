"""Shows, and on demand writes down, what came of the examples: PROPERTY_REPORT names the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.servers import Server
from tests.properties.outcomes import PROPERTY, Outcomes, page, tables


class Reports:
    """Gathers what the tests' reports carry; in a session of several processes these send them to the first."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            properties: list[tuple[str, Any]] = report.user_properties
            self.found += [value for name, value in properties if name == PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for found in self.found:
            terminalreporter.section(found["title"])
            terminalreporter.write("\n".join(tables(found)) + "\n")
        path = os.environ.get("PROPERTY_REPORT")
        if path and self.found:
            Path(path).write_text(page(self.found), encoding="utf-8")
            terminalreporter.write_line(f"wrote {path}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reports(), "property-reports")


@pytest.fixture
def outcomes(request: pytest.FixtureRequest, postgres: Server, record_property: Any) -> Iterator[Outcomes]:
    """Counts the test's examples."""
    counted = Outcomes(title=request.function.__doc__.strip().splitlines()[0], server=postgres.description.split(",")[0])
    yield counted
    record_property(PROPERTY, counted.plain())
