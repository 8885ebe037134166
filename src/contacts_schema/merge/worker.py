"""One connection's share of the merging: its work list, batch by batch, each of the size that suits at the moment."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from threading import Event
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from ..errors import ContactsSchemaError, MergeFailed, is_lost
from ..report import Progress
from ..retry import may_pass
from .batch import Batch, Merged, Slice, Undecided
from .counters import Interference
from .resolve import Contended
from .statements import SQL

# A writer that meets a batch waits for its end. Of a batch's twenty statements each costs a round trip: the further away
# the server is, the longer a batch has to be for the work in it to outweigh the way.
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.025, 0.075
_ROUND_TRIPS = 60
_FIRST_GROUPS = 50
_MOST_GROUPS = 800
# Below this a batch's own cost, some twenty statements, outweighs its work; far from the server it is all there is.
_LEAST_GROUPS = 25
# A batch holds at most so many duplicates, however large a group is.
CAP = 800
_ALL = 2**31
_BATCH_END = SQL["batch_end"].format().as_bytes(None)


class Try(Enum):
    """Every slice once, then what was left of them, then together what nobody decided on in each alone."""

    FIRST = 1
    AGAIN = 2
    TOGETHER = 3


@dataclass(kw_only=True)
class Done:
    """What a worker did to its list; ``skipped`` rows were in somebody's hands, ``failure`` made it leave a group."""

    groups: int = 0
    duplicates: int = 0
    archived: int = 0
    moved: Counter[str] = field(default_factory=Counter)
    beyond: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    failure: Exception | None = None


class Worker:
    """Works off the list of groups in its own session. ``batch_size`` fixes the groups of a batch; None finds it by time."""

    def __init__(self, connection: Connection[Any], batch: Batch, batch_size: int | None, progress: Progress) -> None:
        self.connection, self.batch, self.batch_size, self.progress = connection, batch, batch_size, progress
        self.unfinished = False
        self._size = batch_size or _FIRST_GROUPS
        self._done = Done()
        self._reached = 0
        self._undecided: list[Slice] = []
        self._stopped = Event()

    def work_off(self) -> None:
        """Try every group of the list, and once more what was in somebody's hands, until told to stop."""
        self.unfinished = True
        left = [piece for piece in self._pieces() if not self._merge(piece, Try.FIRST)]
        for piece in left:
            if not self._stopped.is_set():
                self._merge(piece, Try.AGAIN)
        if self._undecided and not self._stopped.is_set():
            self._merge(self._gathered(), Try.TOGETHER)
        self.unfinished = False

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopped.set()

    def take_done(self) -> Done:
        """What was done since this was asked last."""
        done, self._done = self._done, Done()
        return done

    def _pieces(self) -> Iterator[Slice]:
        self._reached = 0
        while not self._stopped.is_set() and (piece := self._piece(self._reached)) is not None:
            yield piece

    def _piece(self, after: int) -> Slice | None:
        values = {"after": after, "groups": self._size, "cap": CAP}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_BATCH_END, values).fetchone()
        if row is None or row["end"] is None:
            return None
        return Slice(after=after, end=row["end"], groups=row["groups"], cap=CAP)

    def _gathered(self) -> Slice:
        """The groups that one by one are undecided, as one slice, whole.

        What the look ahead saw is all of them merged. Between two batches a row of one that is still to come may stand
        in the way.
        """
        values = {"after": [piece.after for piece in self._undecided], "end": [piece.end for piece in self._undecided]}
        self._undecided = []
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(self.batch.root.gather_work(), values).fetchone()
        assert row is not None
        return Slice(after=row["after"], end=row["end"], groups=row["groups"], cap=_ALL)

    def _merge(self, piece: Slice, attempt: Try) -> bool:
        """Merge one slice; gives whether all of it was to be had. What is left in the end is noted as such."""
        start = time.monotonic()
        try:
            merged = self.batch.merge(piece)
        except (Contended, Undecided, Interference, psycopg.Error) as error:
            return self._failed(piece, error, attempt)
        if attempt is Try.FIRST:
            self._reached = piece.end
            self._fit(piece, time.monotonic() - start)
        else:
            self._done.skipped += merged.skipped
        self._count(piece.groups if attempt is Try.FIRST else 0, merged)
        return not merged.skipped

    def _failed(self, piece: Slice, error: Exception, attempt: Try) -> bool:
        """Go on with a smaller slice, and past a single group that fails; gives whether nothing was left."""
        if isinstance(error, psycopg.Error) and not may_pass(error):
            raise merge_failure(error) from None
        if attempt is Try.FIRST and piece.groups > 1:
            self._size = max(1, piece.groups // 4)
            return True
        if attempt is Try.FIRST:
            self._reached = piece.end
            self._count(piece.groups, Merged())
        elif attempt is Try.AGAIN and isinstance(error, Undecided):
            self._undecided.append(piece)
        else:
            self._done.failure = error
        return False

    def _fit(self, piece: Slice, seconds: float) -> None:
        """Steer the size towards the seconds that a batch should take."""
        if self.batch_size:
            self._size = self.batch_size
        else:
            factor = min(2.0, max(0.5, self._target / max(seconds, 0.001)))
            self._size = max(_LEAST_GROUPS, min(_MOST_GROUPS, round(max(self._size, piece.groups) * factor)))

    @cached_property
    def _target(self) -> float:
        return min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, _ROUND_TRIPS * round_trip(self.connection)))

    def _count(self, groups: int, merged: Merged) -> None:
        self._done.groups += groups
        self._done.duplicates += merged.duplicates
        self._done.archived += merged.archived
        self._done.moved.update(merged.moved)
        self._done.beyond.update(merged.beyond)
        self.progress.advance(groups, merged.duplicates)


def round_trip(connection: Connection[Any]) -> float:
    """Seconds to the server and back, at best."""

    def once() -> float:
        start = time.monotonic()
        connection.execute("SELECT 1", {})
        return time.monotonic() - start

    return min(once() for _ in range(3))


def merge_failure(error: psycopg.Error) -> ContactsSchemaError | psycopg.Error:
    """The server's message may hold values of a row; the names and the code may not."""
    if is_lost(error.sqlstate):
        return error
    return MergeFailed(error.sqlstate, error.diag.table_name, error.diag.constraint_name)
