"""What a fault finds when it strikes: the run, the database, and the place for what is to be proved afterwards."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from tempfile import TemporaryFile
from typing import IO, Any, Final, TypeAlias

import psycopg

from sandbox.alembic_command import ROOT, command, environment
from tests.faults.own_server import OwnServer
from tests.faults.points import AT_WORK, Direction
from tests.faults.proxy import Proxy

Claim: TypeAlias = Callable[[str], list[str]]
"""Looks into the database at a URL, gives what is wrong, one line each."""

DEADLINE: Final = 90.0
"""Seconds that a run may last once nothing stands in its way any more."""
TARGET: Final[Mapping[Direction, str]] = {"upgrade": "head", "downgrade": "base"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """`alembic DIRECTION` under way, as a process, and the file that it writes its messages to."""

    process: subprocess.Popen[bytes]
    messages: IO[bytes]

    def ended(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it came."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def succeeded(self) -> bool:
        """Wait for the end; whether it came in time, and was a good one."""
        return self.ended(DEADLINE) and self.process.returncode == 0

    @property
    def output(self) -> str:
        """What it has said so far."""
        self.messages.seek(0)
        return self.messages.read().decode(errors="replace")


@contextmanager
def running(url: str, direction: Direction, settings: Mapping[str, str]) -> Iterator[Run]:
    """A run; killed at the end of the block where it is not over by then."""
    with TemporaryFile() as messages:
        process = subprocess.Popen(
            command(direction, TARGET[direction]),
            cwd=ROOT,
            env=environment(url, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=messages,
        )
        try:
            yield Run(process=process, messages=messages)
        finally:
            process.kill()
            process.wait()


@dataclass(kw_only=True)
class Scene:
    """One run that is to be struck.

    `url` leads straight to the database, past the `limit` that runs have by `database_url`; `settings` are the run's.
    `claims` are proved when all is over, `claims_back` after the way back, before `tidy` undoes what somebody did. Objects
    that somebody has `made` or dropped, and columns that somebody has `edited`, are left out of comparisons.
    `gone_messages` are ids and `gone_contacts` keys of rows that somebody removed on purpose. A fault adds to `problems`
    what went wrong, and sets `missed` where there was nothing to strike.
    """

    url: str
    database_url: str
    direction: Direction
    chance: Random
    settings: Mapping[str, str]
    run: Run
    server: OwnServer | None = None
    proxy: Proxy | None = None
    limit: str | None = None
    claims: list[Claim] = field(default_factory=list)
    claims_back: list[Claim] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    tidy: list[str] = field(default_factory=list)
    gone_messages: set[Any] = field(default_factory=set)
    gone_contacts: set[tuple[Any, ...]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    missed: bool = False

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of somebody else's, in autocommit mode."""
        return psycopg.connect(self.url, autocommit=True)

    @contextmanager
    def held(self, *statements: str, isolation: str = "READ COMMITTED") -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A transaction that has run `statements` and stays open; notes in `missed` when it gets no lock."""
        with psycopg.connect(self.url) as connection:
            try:
                connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
                connection.execute("SET LOCAL lock_timeout = '5s'")
                for statement in statements:
                    connection.execute(statement.encode())
            except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.DeadlockDetected):
                self.missed = True
            yield connection
            connection.rollback()

    def backends(self) -> list[int]:
        """The run's own backends at work, the oldest first."""
        with self.connect() as connection:
            found = connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {AT_WORK} ORDER BY backend_start".encode())
            return [pid for (pid,) in found]


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until `condition` holds, at most so long; whether it does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True
