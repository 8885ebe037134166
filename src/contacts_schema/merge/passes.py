"""Goes through the groups, pass by pass, batch by batch, until none is left."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from ..errors import ContactsSchemaError, LockNotAcquired, MergeFailed, Refused
from ..report import Progress
from ..retry import holders, is_locked, patiently
from ..settings import Settings
from .batch import Batch, Interference, Merged, Slice, Undecided
from .problems import reasons_of
from .resolve import Contended
from .root import RootStatements
from .statements import SQL

# A writer that meets a batch waits for its end; measured plans turn worse above a few hundred groups.
_TARGET_SECONDS = 0.05
_FIRST_GROUPS = 50
_MOST_GROUPS = 400
# A batch holds at most so many duplicates, however large a group is.
CAP = 400
# unique_violation: a writer's row came between; seen again, it is part of the image.
_RACED = {"23505"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The work list of a pass: groups, or slices of large ones, and the duplicates in them.

    What was written by the transaction ``since`` or a later one may not be in it.
    """

    slices: int
    duplicates: int
    since: str


def find_groups(connection: Connection[Any], root: RootStatements, since: str | None = None) -> Found:
    """List the groups of duplicates anew, into the session's work list.

    With ``since``, only those in which something was written since then: the caller knows the others to be merged.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        horizon = cursor.execute(SQL["snapshot"].format(), {}).fetchone()
        assert horizon is not None
        cursor.execute(SQL["empty_work"].format(), {})
        # The grouping pass reads the whole table once; on disk it would take several times as long.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        if since is None:
            cursor.execute(root.find_groups(), {"cap": CAP})
        else:
            cursor.execute(root.find_recent_groups(), {"cap": CAP, "since": since})
        cursor.execute(SQL["analyze_work"].format(), {})
        row = cursor.execute(SQL["count_work"].format(), {}).fetchone()
    assert row is not None
    return Found(**row, **horizon)


class Passes:
    """Merges everything that is there to merge."""

    def __init__(self, connection: Connection[Any], settings: Settings, batch: Batch, progress: Progress) -> None:
        self.connection, self.settings, self.batch, self.progress = connection, settings, batch, progress
        self.groups = self.duplicates = self.archived = 0
        self.moved: Counter[str] = Counter()
        self.beyond: Counter[str] = Counter()
        self._size = settings.batch_size or _FIRST_GROUPS
        self._failure: BaseException | None = None

    def run(self, found: Found | None) -> None:
        """Work off the list that is there, then look again until nothing is found. Raises when nothing moves any more."""
        found = found or find_groups(self.connection, self.batch.root)
        for _ in patiently(self.settings.lock_attempts):
            while True:
                before, self._failure = self.duplicates, None
                self._work_off(found)
                found = self._look_again(found, self.duplicates - before)
                if not found.slices:
                    return
                if self.duplicates == before:
                    break
            self._give_up_early()
        raise self._verdict()

    def _look_again(self, found: Found, merged: int) -> Found:
        """What came since the list was made; all there is where some of the list was left."""
        complete = merged == found.duplicates and self._failure is None
        return find_groups(self.connection, self.batch.root, found.since if complete else None)

    def _work_off(self, found: Found) -> None:
        self.progress.total(found.slices)
        for piece in self._pieces():
            merged = self._attempt(piece)
            if merged is not None:
                self._count(piece, merged)

    def _pieces(self) -> Iterator[Slice]:
        """Cut the list into batches of the size that suits at the moment."""
        after = 0
        while (piece := self._piece(after)) is not None:
            self._done = piece.after
            yield piece
            after = self._done

    def _piece(self, after: int) -> Slice | None:
        values = {"after": after, "groups": self._size, "cap": CAP}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(SQL["batch_end"].format(), values).fetchone()
        if row is None or row["end"] is None:
            return None
        return Slice(after=after, end=row["end"], groups=row["groups"], cap=CAP)

    def _attempt(self, piece: Slice) -> Merged | None:
        """Merge one slice; if it fails, go on with a smaller one, and past a single group that fails."""
        start = time.monotonic()
        try:
            merged = self.batch.merge(piece)
        except (Contended, Undecided, Interference, psycopg.Error) as error:
            self._failed(piece, error)
            return None
        self._done = piece.end
        self._fit(piece, time.monotonic() - start)
        return merged

    def _failed(self, piece: Slice, error: Exception) -> None:
        if isinstance(error, psycopg.Error) and not (is_locked(error) or error.sqlstate in _RACED):
            raise _worded(error) from None
        self._failure = error
        if piece.groups > 1:
            self._size = max(1, piece.groups // 4)
            return
        self._done = piece.end

    def _fit(self, piece: Slice, seconds: float) -> None:
        """Steer the size towards a batch of 50 ms."""
        if self.settings.batch_size:
            self._size = self.settings.batch_size
        else:
            factor = min(2.0, max(0.5, _TARGET_SECONDS / max(seconds, 0.001)))
            self._size = max(1, min(_MOST_GROUPS, round(max(self._size, piece.groups) * factor)))

    def _count(self, piece: Slice, merged: Merged) -> None:
        self.groups += piece.groups
        self.duplicates += merged.duplicates
        self.archived += merged.archived
        self.moved.update(merged.moved)
        self.beyond.update(merged.beyond)
        self.progress.advance(piece.groups, merged.duplicates)

    def _give_up_early(self) -> None:
        """Waiting helps against a lock; not against rows that nobody decided on, nor against a trigger."""
        if isinstance(self._failure, Undecided | Interference):
            raise self._verdict()
        self.progress.note("the groups that are left have rows in somebody's hands; waiting for them")

    def _verdict(self) -> ContactsSchemaError:
        failure = self._failure
        if isinstance(failure, Undecided):
            return Refused(reasons_of(failure.tallies))
        if isinstance(failure, Interference):
            return MergeFailed(None, failure.table, None)
        if isinstance(failure, psycopg.Error) and not is_locked(failure):
            return _worded(failure)
        root = self.batch.root.table.label
        return LockNotAcquired(f"rows of {root}", self.settings.lock_attempts, holders(self.connection))


def _worded(error: psycopg.Error) -> ContactsSchemaError | psycopg.Error:
    """The server's message may hold values of a row; the names and the code may not."""
    if error.sqlstate is None:
        return error
    return MergeFailed(error.sqlstate, error.diag.table_name, error.diag.constraint_name)
