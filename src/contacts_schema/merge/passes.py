"""Goes through the groups, pass by pass, batch by batch, until none is left."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.rows import dict_row

from ..errors import ContactsSchemaError, LockNotAcquired, MergeFailed, Refused
from ..report import Progress
from ..retry import holders, is_locked, patiently
from ..settings import Settings
from .batch import Undecided
from .counters import Interference
from .root import RootStatements
from .statements import SQL
from .worker import CAP, Done, Worker, merge_failure

# Below this many duplicates a second connection costs more than it saves.
_WORTH_SHARING = 2000
# Neighbouring groups share pages: each worker has so many of them before the other has as many.
_STRETCH = 1000


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
    """Merges everything that is there to merge; ``second`` gives another worker for as long as a long list lasts."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        second: Callable[[], AbstractContextManager[Worker | None]],
        progress: Progress,
    ) -> None:
        self.settings, self.worker, self.second, self.progress = settings, worker, second, progress
        self.connection = worker.connection
        self.groups = self.duplicates = self.archived = 0
        self.moved: Counter[str] = Counter()
        self.beyond: Counter[str] = Counter()
        self._failure: Exception | None = None
        self._skipped = 0
        self._alone = False

    def run(self, found: Found, *, guarded: bool) -> None:
        """Work off the list, then look again until nothing is found. Raises when nothing moves any more.

        ``guarded`` says that the list was made with the guard up: nothing can have come since, and a list that was
        merged completely is the last one.
        """
        for _ in patiently(self.settings.lock_attempts):
            while True:
                before, self._failure, self._skipped = self.duplicates, None, 0
                self._work_off(found)
                if guarded and self._complete:
                    return
                found, guarded = self._look_again(found), True
                if not found.slices:
                    return
                if self.duplicates == before and not self._may_help_to_be_alone():
                    break
            self._give_up_early()
        raise self._verdict()

    def _may_help_to_be_alone(self) -> bool:
        """Groups that stand in each other's way may have been in two workers' hands."""
        self._alone, was = self._alone or isinstance(self._failure, Undecided), self._alone
        return self._alone and not was

    def _look(self, since: str | None) -> Found:
        return find_groups(self.connection, self.worker.batch.root, since)

    def _look_again(self, found: Found) -> Found:
        """What came since the list was made; all there is where some of the list was left."""
        return self._look(found.since if self._complete else None)

    @property
    def _complete(self) -> bool:
        """Every row of the list was to be had."""
        return not self._skipped and self._failure is None

    def _work_off(self, found: Found) -> None:
        self.progress.total(found.slices)
        if self._alone or found.duplicates < _WORTH_SHARING:
            self._count(self.worker, self.worker.work_off)
            return
        with self.second() as second:
            if second is None:
                self._count(self.worker, self.worker.work_off)
            else:
                self._share(second)

    def _share(self, second: Worker) -> None:
        """Half of the list each. Their groups are different ones; what both hold on to is tried again by the loser."""
        share_work(self.connection, second.connection)
        try:
            with ThreadPoolExecutor(max_workers=1) as threads:
                other = threads.submit(second.work_off)
                other.add_done_callback(lambda done: self.worker.stop() if done.exception() else None)
                try:
                    self.worker.work_off()
                finally:
                    second.stop() if self.worker.unfinished else None
        finally:
            for worker in (self.worker, second):
                self._add(worker.take_done())
        other.result()

    def _count(self, worker: Worker, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._add(worker.take_done())

    def _add(self, done: Done) -> None:
        self.groups += done.groups
        self.duplicates += done.duplicates
        self.archived += done.archived
        self.moved.update(done.moved)
        self.beyond.update(done.beyond)
        self._skipped += done.skipped
        self._failure = done.failure or self._failure

    def _give_up_early(self) -> None:
        """Waiting helps against a lock; not against rows that nobody decided on, nor against a trigger."""
        if isinstance(self._failure, Undecided | Interference):
            raise self._verdict()
        self.progress.note("the groups that are left have rows in somebody's hands; waiting for them")

    def _verdict(self) -> ContactsSchemaError | psycopg.Error:
        failure = self._failure
        if isinstance(failure, Undecided):
            return Refused(failure.reasons)
        if isinstance(failure, Interference):
            return MergeFailed(None, failure.table, None)
        if isinstance(failure, psycopg.Error) and not is_locked(failure):
            return merge_failure(failure)
        root = self.worker.batch.root.table.label
        return LockNotAcquired(f"rows of {root}", self.settings.lock_attempts, holders(self.connection))


def share_work(giver: Connection[Any], taker: Connection[Any]) -> None:
    """Move every second stretch of the work list to another session's."""
    with giver.transaction(), taker.transaction(), giver.cursor() as source, taker.cursor() as target:
        target.execute(SQL["empty_work"].format(), {})
        with (
            source.copy(SQL["give_work"].format(stretch=sql.Literal(_STRETCH))) as given,
            target.copy(SQL["take_work"].format()) as taken,
        ):
            for block in given:
                taken.write(block)
        for cursor in (source, target):
            cursor.execute(SQL["analyze_work"].format(), {})
