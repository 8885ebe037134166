"""The promise of the whole project, measured: a live table of a million contacts under its writers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import psycopg

from benchmarks.process import Finished, run
from sandbox.alembic_command import ROOT, command, environment
from sandbox.proofs import check, constraint_is_valid, duplicate_groups
from sandbox.server_databases import database, filled_template
from sandbox.writer_report import Waits, WriterReport
from sandbox.writers import Writers

__all__ = ["WAYS", "Measured", "Settings", "measure"]

AFTER_SECONDS: Final = 3.0
CONTACTS_PER_WORKSPACE: Final = 100

Way = Callable[[str, "Settings"], Finished]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured: the table, the writers, and the seconds that each part may take."""

    contacts: int = 1_000_000
    duplicates: float = 0.05
    messages: int = 2
    lookup_index: bool = False
    rate: float = 200.0
    races: float = 10.0
    calm: float = 10.0
    limit: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way under writers; seconds and MB. The longest wait began `longest_at` seconds into the run."""

    way: str
    exit_code: int | None
    seconds: float
    calm: Waits
    during: Waits
    longest_at: float
    memory_peak: float
    memory_median: float
    duplicate_groups: int
    constraint_valid: bool
    acknowledged: int
    lost: list[str]
    rejections: dict[str, int]
    unexpected: dict[str, int]
    retries: dict[str, int]
    output: str

    @property
    def succeeded(self) -> bool:
        """Exit code 0, no duplicate, the constraint in force, nothing lost, no error but 23505."""
        wrong = self.duplicate_groups or self.lost or self.unexpected
        return self.exit_code == 0 and self.constraint_valid and not wrong


def measure(url: str, settings: Settings, ways: list[str], say: Callable[[str], None]) -> list[Measured]:
    """Load once, then take each way on a fresh copy of the data; `say` gets a line before each part."""
    say(f"loading {settings.contacts:,} contacts, {settings.messages} messages each")
    with filled_template(url, lambda filled: _load(filled, settings)) as template:
        found = []
        for way in ways:
            with database(url, template=template) as clone:
                found.append(_under_writers(clone, settings, way, say))
    return found


def _load(url: str, settings: Settings) -> None:
    script = _script("load.sql")
    values = {"contacts": settings.contacts, "duplicates": settings.duplicates, "messages": settings.messages}
    values["workspaces"] = max(1, settings.contacts // CONTACTS_PER_WORKSPACE)
    for name, value in values.items():
        script = script.replace(f":{name}", str(value))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())
        if settings.lookup_index:
            connection.execute("CREATE INDEX contacts_key_idx ON contacts (workspace_id, phone)")
        connection.execute("VACUUM ANALYZE")


def _under_writers(url: str, settings: Settings, way: str, say: Callable[[str], None]) -> Measured:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    with Writers(url, rate=settings.rate, races=settings.races) as writers:
        say(f"{way}: {settings.calm:.0f} s of writers alone")
        time.sleep(settings.calm)
        say(f"{way}: running")
        started = time.monotonic()
        finished = WAYS[way](url, settings)
        ended = time.monotonic()
        say(f"{way}: exit code {finished.exit_code} after {finished.seconds:.1f} s")
        time.sleep(AFTER_SECONDS)
        report = writers.stop()
    return _measured(url, way, finished, report, (started, ended))


def _measured(url: str, way: str, finished: Finished, report: WriterReport, span: tuple[float, float]) -> Measured:
    during = report.waits(*span)
    return Measured(
        way=way,
        exit_code=finished.exit_code,
        seconds=finished.seconds,
        # The first second is that of new connections and cold caches.
        calm=report.waits(report.started + 1, span[0]),
        during=during,
        longest_at=report.started + during.longest_after - span[0],
        memory_peak=finished.memory_peak,
        memory_median=finished.memory_median,
        duplicate_groups=duplicate_groups(url),
        constraint_valid=constraint_is_valid(url),
        acknowledged=len(report.contacts) + len(report.messages) + len(report.names),
        lost=check(url, report),
        rejections={" ".join(name): count for name, count in report.rejections.items()},
        unexpected=report.unexpected,
        retries=dict(report.retries),
        output=finished.output,
    )


def _lock_table(url: str, _: Settings) -> Finished:
    return _in_one_transaction(url, "lock_table.sql")


def _lock_table_kept(url: str, _: Settings) -> Finished:
    return _in_one_transaction(url, "lock_table_kept.sql")


def _in_one_transaction(url: str, script: str) -> Finished:
    started = time.monotonic()
    error = ""
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute(_script(script).encode())
        except psycopg.Error as failed:
            error = f"SQLSTATE {failed.sqlstate}"
    seconds = time.monotonic() - started
    return Finished(exit_code=1 if error else 0, output=error, seconds=seconds, memory_peak=0.0, memory_median=0.0)


def _alembic(url: str, settings: Settings) -> Finished:
    return run(command("upgrade", "head"), cwd=ROOT, env=environment(url), limit=settings.limit)


def _script(name: str) -> str:
    return files("benchmarks").joinpath(name).read_text(encoding="utf-8")


WAYS: Final[dict[str, Way]] = {
    "lock_table": _lock_table,
    "lock_table_kept": _lock_table_kept,
    "alembic": _alembic,
}
