"""One way, on a fresh copy of the data, under its writers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import psycopg

from benchmarks.cases import Case, load
from benchmarks.process import Finished
from benchmarks.ways import FLOOR, OURS, WAYS
from sandbox.proofs import check, constraint_is_valid, duplicate_groups
from sandbox.server_databases import database, filled_template
from sandbox.writer_report import Waits, WriterReport
from sandbox.writers import Writers

__all__ = ["Measured", "measure"]

AFTER_SECONDS: Final = 2.0
CALM_SECONDS: Final = 4.0
PICTURE_SECONDS: Final = 0.1
MB: Final = 1_000_000
SERVER: Final = """
    SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::bigint,
           (SELECT temp_bytes FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database())
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way in one case. Seconds and MB; `wal` holds the writers' too. `picture` is the longest wait of each tenth
    of a second since the start, `lines` what the command said when. None where nobody wrote.
    """

    case: Case
    way: str
    exit_code: int | None
    seconds: float
    calm: Waits | None
    during: Waits | None
    wal: float
    temp: float
    memory: float
    duplicate_groups: int
    constraint_valid: bool
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    rejected: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    merged_away: dict[str, int] = field(default_factory=dict)
    picture: list[tuple[float, float]] = field(default_factory=list)
    lines: list[tuple[float, str]] = field(default_factory=list)

    @property
    def unique(self) -> bool:
        """Ended well, left no duplicate, and the constraint is in force."""
        return self.exit_code == 0 and not self.duplicate_groups and self.constraint_valid

    @property
    def as_promised(self) -> bool:
        """And nothing was lost, and no writer met another error than 23505."""
        return self.way == FLOOR or (self.unique and not self.lost and not self.errors)


def measure(
    url: str, wanted: list[Case], ways: list[str], *, repeat: int, limit: float, say: Callable[[str], None]
) -> Iterator[Measured]:
    """Load the data once, then take the ways in turn, `repeat` times, each on a copy; `say` gets a line before each."""
    for data, same in groupby(wanted, key=lambda case: case.data):
        say(f"loading {data.contacts:,} contacts, {data.duplicates:.1%} duplicates")
        with filled_template(url, lambda filled, data=data: load(filled, data)) as template:  # type: ignore[misc]
            for case in same:
                ours = 0.0
                for way in [*ways] * repeat:
                    with database(url, template=template) as clone:
                        measured = _measured(clone, case, way, limit, watch=ours if way == FLOOR else 0)
                    ours = measured.seconds if way == OURS else ours
                    say(f"{case}: {way}: exit code {measured.exit_code} after {measured.seconds:.1f} s")
                    yield measured


def _measured(url: str, case: Case, way: str, limit: float, watch: float) -> Measured:
    """Take one way. Its writers are watched until its end, or for `watch` seconds where that is longer: what a way has
    written reaches the disk half a minute later, and a write may have to wait for that.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    with _writers(url, case) as writers:
        before = _server(url)
        started = time.monotonic()
        finished = WAYS[way](url, limit)
        after = _server(url)
        ended = max(time.monotonic(), started + watch)
        time.sleep(ended - time.monotonic() + AFTER_SECONDS if writers else 0)
        report = writers.stop() if writers else None
    return Measured(
        case=case,
        way=way,
        exit_code=finished.exit_code,
        seconds=finished.seconds,
        wal=(after[0] - before[0]) / MB,
        temp=(after[1] - before[1]) / MB,
        memory=finished.memory,
        lines=list(finished.lines),
        duplicate_groups=duplicate_groups(url),
        constraint_valid=constraint_is_valid(url),
        **_of_writers(url, report, started, ended, _last_step(finished)),
    )


@contextmanager
def _writers(url: str, case: Case) -> Iterator[Writers | None]:
    """The writers, after some seconds of their own; None where there are none."""
    if not case.rate:
        yield None
        return
    with Writers(url, rate=case.rate, races=case.races) as writers:
        time.sleep(CALM_SECONDS)
        yield writers


def _last_step(finished: Finished) -> float:
    """Seconds until the last step began that a command tells of; all of them where it tells nothing."""
    return max((at for at, line in finished.lines if line.endswith(": begins")), default=finished.seconds)


def _of_writers(url: str, report: WriterReport | None, started: float, ended: float, last: float) -> dict[str, Any]:
    if report is None:
        return {"calm": None, "during": None}
    return {
        # The first second is that of new connections and cold caches.
        "calm": report.waits(report.started + 1, started),
        "during": report.waits(started, ended),
        "acknowledged": len(report.contacts) + len(report.messages) + len(report.names),
        "lost": check(url, report),
        "rejected": sum(report.rejections.values()),
        "errors": report.unexpected,
        "merged_away": dict(report.retries_between(started, started + last)),
        "picture": _picture(report, started, ended),
    }


def _picture(report: WriterReport, started: float, ended: float) -> list[tuple[float, float]]:
    longest: dict[int, float] = {}
    for write in report.writes:
        if started - 1 <= write.due <= ended + 1:
            bucket = int((write.due - started) // PICTURE_SECONDS)
            longest[bucket] = max(longest.get(bucket, 0.0), write.wait)
    return [(bucket * PICTURE_SECONDS, wait) for bucket, wait in sorted(longest.items())]


def _server(url: str) -> tuple[int, int]:
    """Bytes of write-ahead log so far, and of this database's temporary files."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(SERVER.encode()).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
