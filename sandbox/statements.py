"""`make docs`: writes docs/statements.md, what a server is really sent by an upgrade and a downgrade."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import psycopg

from contacts_schema import execute
from contacts_schema.report import Progress, Report
from contacts_schema.settings import Settings
from sandbox.alembic_command import ROOT
from sandbox.recording import Statement, recording
from sandbox.server_databases import database
from sandbox.servers import choose, server
from sandbox.statement_pages import Titled, rendered

__all__ = ["FILE", "record", "rendered"]

FILE: Final = ROOT / "docs" / "statements.md"
EXAMPLE: Final = Settings(fill=("email",))

Work = Callable[[psycopg.Connection[Any], Settings, Progress], Report]
RUNS: Final[tuple[tuple[str, str, Work], ...]] = (
    ("Upgrade, revision `dedupe_contacts`", "op.merge_duplicates", execute.merge_duplicates),
    (
        "Upgrade, revision `unique_phone_workspace`",
        "op.create_unique_constraint_online",
        execute.add_constraint,
    ),
    (
        "Downgrade, revision `unique_phone_workspace`",
        "op.drop_unique_constraint_online",
        execute.drop_constraint,
    ),
    ("Downgrade, revision `dedupe_contacts`", "op.restore_duplicates", execute.restore_duplicates),
)


def main() -> None:
    """Run the example on a throwaway server and write the file."""
    with server(choose(os.environ | {"TEST_SERVER": "embedded"})) as running, database(running.url) as url:
        FILE.write_text(rendered(record(url)), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}\n")


def record(url: str) -> list[Titled]:
    """Load the example into the empty database at `url`; give what each directive sent, up and down again."""
    with psycopg.connect(url) as connection:
        connection.execute(files("sandbox").joinpath("example.sql").read_bytes())
    return [(title, directive, _recorded(url, work)) for title, directive, work in RUNS]


def _recorded(url: str, work: Work) -> list[Statement]:
    with recording(url) as (connection, recorder):
        report = work(connection, EXAMPLE, recorder)
        assert report.kept == (), "the example comes back whole"
        return recorder.statements


if __name__ == "__main__":
    main()
