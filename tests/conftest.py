"""One server a session, one database a test.

`postgres` is the server, `database_url` an empty database, `crm_url` a filled one, `new_database` as many
more as a test wants, `alembic` the real command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from sandbox import crm, servers
from sandbox.server_databases import EMPTY, database, filled_template

ROOT = Path(__file__).parents[1]
ALEMBIC_SECONDS = 120
LONG = {"faults", "properties", "test_kills.py", "test_writers.py"}

CHOICE = pytest.StashKey[servers.Choice]()


class Alembic(Protocol):
    """Runs `alembic ARGS` from the checkout against `url`; `env` is added to the environment."""

    def __call__(self, url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]: ...


class NewDatabase(Protocol):
    """Makes a database, a clone of `template` where one is named, gives its URL, drops it after the test."""

    def __call__(self, template: str = EMPTY) -> str: ...


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[CHOICE] = servers.choose()
    except servers.ServerUnavailable as unavailable:
        raise pytest.UsageError(str(unavailable)) from unavailable


def pytest_report_header(config: pytest.Config) -> str:
    left_out = "" if _has_icu(config) else "; it was built without ICU: tests marked icu are left out, a container runs them"
    return f"PostgreSQL: {config.stash[CHOICE]}{left_out}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Nothing skips: what this way cannot run is not collected, and the other way fails where it cannot."""
    out = [] if _has_icu(config) else [item for item in items if item.get_closest_marker("icu")]
    config.hook.pytest_deselected(items=out)
    left_out = set(out)
    # What takes longest begins first: begun last, one process would run it while the others have nothing left.
    shared = hasattr(config, "workerinput")
    items[:] = sorted(
        (item for item in items if item not in left_out), key=lambda item: shared and not LONG & set(item.path.parts)
    )


def _has_icu(config: pytest.Config) -> bool:
    """The wheel's server has none; those of Debian and of the image do."""
    return config.stash[CHOICE].way != "embedded" or "POSTGRES_BIN" in os.environ


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[servers.Server]:
    """The session's server; its `url` is a superuser's."""
    with servers.server(pytestconfig.stash[CHOICE]) as server:
        yield server


@pytest.fixture(scope="session")
def crm_template(postgres: servers.Server) -> Iterator[str]:
    """The name of a database filled with the sample CRM, closed to connections."""
    with filled_template(postgres.url, crm.load) as name:
        yield name


@pytest.fixture
def new_database(postgres: servers.Server) -> Iterator[NewDatabase]:
    with ExitStack() as databases:

        def new(template: str = EMPTY) -> str:
            return databases.enter_context(database(postgres.url, template=template))

        yield new


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """An empty database of the test's own."""
    return new_database()


@pytest.fixture
def crm_url(new_database: NewDatabase, crm_template: str) -> str:
    """The sample CRM, the test's own copy."""
    return new_database(crm_template)


@pytest.fixture(scope="session")
def alembic() -> Alembic:
    return _alembic


def _alembic(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *args],
        cwd=ROOT,
        env=_clean_environment() | {"DATABASE_URL": url} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ALEMBIC_SECONDS,
        check=False,
    )


def _clean_environment() -> dict[str, str]:
    """The environment without what would change a run's meaning: our own settings and libpq's defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CONTACTS_SCHEMA_", "PG"))}
