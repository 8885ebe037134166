"""Where runs are struck: servers, and databases on them that are clones of filled ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import psycopg
from psycopg import sql

from sandbox.server_databases import database, filled_template, name_of
from sandbox.servers import Choice, choose, server
from sandbox.snapshot import Snapshot, snapshot
from sandbox.structure import structure
from tests.faults.datasets import SETTINGS, Dataset
from tests.faults.own_server import OwnServer, own_server
from tests.faults.points import Direction
from tests.faults.scene import running
from tests.faults.small_disk import MountForbidden, small_disk

Where: TypeAlias = Literal["shared", "own", "small"]
"""The session's server; one that a fault may stop; the same, which is on a small disk where such a one can be had."""


@dataclass(frozen=True, kw_only=True)
class State:
    """All rows, and what the database is made of."""

    rows: Snapshot
    structure: frozenset[str]

    @classmethod
    def of(cls, url: str) -> State:
        return cls(rows=snapshot(url), structure=structure(url))


@dataclass(frozen=True, kw_only=True)
class Filled:
    """Two templates, before and after an undisturbed upgrade, and what they hold."""

    templates: Mapping[Direction, str]
    before: State
    upgraded: State


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A database of one run's own, what its template holds, and the server where that may be stopped."""

    url: str
    filled: Filled
    server: OwnServer | None


@dataclass(kw_only=True)
class Place:
    """Servers that are started, and databases that are filled, when they are first asked for.

    Threads may share the session's server; one of a fault's own is had by one at a time.
    """

    choice: Choice
    stack: ExitStack
    given: str | None = None
    _own: OwnServer | None = None
    _forbidden: MountForbidden | None = None
    _filled: dict[tuple[str, str], Filled] = field(default_factory=dict)
    _filling: threading.Lock = field(default_factory=threading.Lock)
    _alone: threading.Lock = field(default_factory=threading.Lock)

    @property
    def version(self) -> str:
        """The version of the session's server."""
        with psycopg.connect(self._server("shared")[0]) as connection:
            return f"{connection.info.server_version // 10000}.{connection.info.server_version % 10000}"

    @contextmanager
    def spot(self, where: Where, dataset: Dataset, direction: Direction) -> Iterator[Spot]:
        """A database with the dataset, upgraded where the way back is to be struck. Raises MountForbidden."""
        with nullcontext() if where == "shared" else self._alone:
            with self._filling:
                url, own = self._server(where)
                filled = self._fill(url, dataset)
            with database(url, template=filled.templates[direction]) as clone:
                yield Spot(url=clone, filled=filled, server=own)

    def _server(self, where: Where) -> tuple[str, OwnServer | None]:
        if where == "shared":
            if self.given is None:
                self.given = self.stack.enter_context(server(self.choice)).url
            return self.given, None
        own = self._own = self._own or self._start()
        if where == "small" and self._forbidden:
            raise self._forbidden
        return own.url, own

    def _start(self) -> OwnServer:
        try:
            folder = self.stack.enter_context(small_disk())
        except MountForbidden as forbidden:
            self._forbidden = forbidden
            usual = TemporaryDirectory(prefix="contacts_schema.", ignore_cleanup_errors=True)
            folder = Path(self.stack.enter_context(usual))
        # What our batches commit reaches the disk late, so that a crash really loses some.
        return self.stack.enter_context(own_server(folder, wal_writer_delay="10s"))

    def _fill(self, url: str, dataset: Dataset) -> Filled:
        if (url, dataset.name) not in self._filled:
            states: list[State] = []

            def load(empty: str) -> None:
                dataset.load(empty)
                states.append(State.of(empty))

            before = self.stack.enter_context(filled_template(url, load))
            upgraded = self.stack.enter_context(database(url, template=before))
            undisturbed(upgraded, "upgrade")
            states.append(State.of(upgraded))
            _close(url, name_of(upgraded))
            templates: dict[Direction, str] = {"upgrade": before, "downgrade": name_of(upgraded)}
            self._filled[url, dataset.name] = Filled(templates=templates, before=states[0], upgraded=states[1])
        return self._filled[url, dataset.name]


def _close(url: str, name: str) -> None:
    """Let nobody in any more: a session would keep the database from being cloned."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name)))


@contextmanager
def place(choice: Choice | None = None, given: str | None = None) -> Iterator[Place]:
    """A place for runs, on the server at `given` or else a new one; everything is stopped at the end."""
    with ExitStack() as stack:
        yield Place(choice=choice or choose(os.environ), stack=stack, given=given)


def undisturbed(url: str, direction: Direction) -> None:
    """A run that nobody strikes, which has to succeed."""
    with running(url, direction, SETTINGS) as run:
        assert run.succeeded(), run.output
