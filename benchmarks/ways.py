"""The ways to the constraint that are compared, each with its own name."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import psycopg

from benchmarks.process import Finished, run
from sandbox.alembic_command import ROOT, command, environment

__all__ = ["FLOOR", "OURS", "REFERENCE", "SAID", "WAYS", "Way", "script"]

RETRIES: Final = 8
INDEX: Final = "CREATE {}INDEX CONCURRENTLY unique_phone_workspace ON contacts (workspace_id, phone)"

Way = Callable[[str, float], Finished]
"""Takes the database's URL and the seconds that it may take."""


def script(name: str) -> str:
    """The text of one of the SQL files beside this one."""
    return files("benchmarks").joinpath(name).read_text(encoding="utf-8")


def _migration(name: str) -> Way:
    """A script as the only migration of a plain Alembic project: one transaction."""

    def run_it(url: str, limit: float) -> Finished:
        ini = ROOT / "benchmarks" / "plain" / "alembic.ini"
        where = {"BENCHMARK_SCRIPT": str(ROOT / "benchmarks" / name)}
        return run(command("-c", str(ini), "upgrade", "head"), cwd=ROOT, env=environment(url, **where), limit=limit)

    return run_it


def _alembic(url: str, limit: float) -> Finished:
    return run(command("upgrade", "head"), cwd=ROOT, env=environment(url), limit=limit)


def _retrying(url: str, limit: float) -> Finished:
    """Deduplicate, build the index while writers go on, begin again where it met a duplicate."""
    started = time.monotonic()
    lines: list[tuple[float, str]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for attempt in range(1, RETRIES + 1):
            if _built(connection):
                return Finished(exit_code=0, seconds=time.monotonic() - started, lines=tuple(lines))
            lines.append((time.monotonic() - started, f"attempt {attempt} met a duplicate"))
            if time.monotonic() - started > limit:
                return Finished(exit_code=None, seconds=time.monotonic() - started, lines=tuple(lines))
    return Finished(exit_code=1, seconds=time.monotonic() - started, lines=tuple(lines))


def _built(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute(script("dedupe.sql").encode())
        connection.execute(INDEX.format("UNIQUE ").encode())
    except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation, psycopg.errors.DeadlockDetected):
        connection.execute("DROP INDEX IF EXISTS unique_phone_workspace")
        return False
    connection.execute(
        "ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE USING INDEX unique_phone_workspace"
    )
    return True


def _floor(url: str, limit: float) -> Finished:
    """One look for duplicates and one concurrent index build: less than any way, and no constraint."""
    started = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET work_mem = '64MB'; SET statement_timeout = '{limit:.0f}s'".encode())
        connection.execute(script("grouping.sql").encode())
        connection.execute(INDEX.format("").encode())
    return Finished(exit_code=0, seconds=time.monotonic() - started)


OURS: Final = "contacts_schema"
REFERENCE: Final = "LOCK TABLE"
FLOOR: Final = "floor"
WAYS: Final[dict[str, Way]] = {
    REFERENCE: _migration("lock_table.sql"),
    "LOCK TABLE, kept": _migration("lock_table_kept.sql"),
    "no lock": _migration("unlocked.sql"),
    "CIC, retried": _retrying,
    OURS: _alembic,
    FLOOR: _floor,
}
SAID: Final[dict[str, str]] = {
    REFERENCE: "one transaction: lock, move the messages, delete the duplicates, add the constraint; nothing is kept",
    "LOCK TABLE, kept": "the same, keeping the removed rows and the moved references for a way back",
    "no lock": "the same script without the lock, as one writes it for a table at rest",
    "CIC, retried": f"deduplicate, CREATE UNIQUE INDEX CONCURRENTLY, begin again where that fails, {RETRIES} times at most",
    OURS: "`alembic upgrade head` of this repository",
    FLOOR: "one look for duplicates and one CREATE INDEX CONCURRENTLY: no merge, no constraint, less than any way can do",
}
