"""Undoes batch after batch, newest first, each in one short transaction."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from psycopg import Connection, errors, sql

from ..catalog.facts import Table
from ..plan import Plan
from ..report import Progress
from ..retry import with_lock
from ..run_lock import keeping
from ..session import IN_BATCH
from ..settings import Settings
from .changes import Changes
from .clearing import Clearing
from .later import without_parent
from .outcome import Op, Outcome
from .pieces import Refusal, as_far_as_possible, refused
from .sources import Source
from .store import Store
from .triggers import lock, make_way, resting

STAYS, TABLE_GONE, NOT_BACK = "stays in the archive,", "its table is gone", "what it refers to is not back"


class Restore:
    """Brings back everything that merging one table removed and changed."""

    def __init__(self, connection: Connection[Any], settings: Settings, plan: Plan, progress: Progress) -> None:
        assert plan.target is not None
        self.connection, self.settings, self.target, self.progress = connection, settings, plan.target, progress
        self.store = Store(connection, settings.private_schema, plan.declared)
        self.changes = Changes(self.store)
        self._in_the_way: list[Table] = []

    def run(self) -> Outcome:
        """Undo every batch. What cannot be brought back stays archived and is listed in ``kept``."""
        self.store.execute("create_left")
        self.store.execute("create_found")
        batches = self.store.column("batches", **self._source_values())
        self.progress.total(len(batches))
        outcome = Outcome()
        try:
            # What a restore of another table clears away, rows of this one may be about to look into.
            with keeping(self.connection, self.settings):
                for batch in batches:
                    outcome.add(self._undo_patiently(batch))
            # Somebody may be looking something up in the archive.
            with_lock(self.connection, self.settings, self.progress, "the archive", self.clean)
        except BaseException:
            # The batches that are undone are forgotten, and the next run will know nothing of these.
            for line in outcome.kept:
                self.progress.note(f"left as it is: {line}")
            raise
        return outcome

    def _undo_patiently(self, batch: int) -> Outcome:
        undo = partial(self._undo_batch, batch)
        undone = with_lock(self.connection, self.settings, self.progress, "the tables of the archive", undo)
        self.progress.advance(1, undone.inserted)
        return undone

    def clean(self) -> None:
        """Drop what is empty; the schema too, once nothing of any run is left in it."""
        with self.connection.transaction():
            self.store.execute("finish_runs", **self._source_values())
        Clearing(self.store, self.progress).clear()

    def _undo_batch(self, batch: int) -> Outcome:
        outcome = Outcome()
        # Until that is done nothing is locked that a writer could wait for.
        make_way(self.connection, self._in_the_way)
        self._in_the_way = []
        with self.connection.transaction():
            self.connection.execute(IN_BATCH)
            ops = self._ops(batch)
            tables = self._tables(ops)
            self._lock(tables)
            with resting(self.connection, tables):
                left = [op for op in ops if not self._undo(op, outcome)]
            self.store.execute("finish_ops", batch=batch, left=[op.id for op in left])
            if not left:
                self.store.execute("finish_batch", batch=batch)
        return outcome

    def _ops(self, batch: int) -> list[Op]:
        return [
            Op(id=row["id"], kind=row["kind"], sources=tuple(self.store.sources[r] for r in row["relations"]))
            for row in self.store.named_rows("ops", batch=batch)
        ]

    def _lock(self, tables: list[Table]) -> None:
        try:
            lock(self.connection, tables)
        except errors.LockNotAvailable:
            self._in_the_way = tables
            raise

    @staticmethod
    def _tables(ops: Sequence[Op]) -> list[Table]:
        tables = [source.table for op in ops for source in op.sources if source.table is not None]
        return list({table.oid: table for table in tables}.values())

    def _undo(self, op: Op, outcome: Outcome) -> bool:
        """Undo one operation; false where something of it is left."""
        return self._bring_back(op, outcome) if op.kind == "archive" else self.changes.undo(op, outcome)

    def _bring_back(self, op: Op, outcome: Outcome) -> bool:
        """Insert archived rows again, all at once; if a row's fault stands in the way, as many as possible."""
        (source,) = op.sources
        if source.table is None:
            return not self._leave(source, op, outcome, {}, TABLE_GONE)
        before, faults = outcome.inserted, dict[int, str]()
        if refused(self.connection, partial(self._insert, source, op, outcome)) is not None:
            outcome.inserted = before
            faults = self._insert_in_pieces(source, op, outcome)
        return not self._leave(source, op, outcome, faults, NOT_BACK)

    def _insert_in_pieces(self, source: Source, op: Op, outcome: Outcome) -> dict[int, str]:
        """Again as long as that helps: a row waits for the one that it refers to. Gives what is refused and why."""
        given = [source.columns[number].name for number in source.shared]

        def attempt(rows: Sequence[int]) -> Refusal | None:
            return refused(self.connection, partial(self._insert, source, op, outcome, rows), given)

        left = self._rows(source, op)
        while True:
            faults = as_far_as_possible(left, attempt)
            still = self._rows(source, op)
            if len(still) in (0, len(left)):
                return faults
            left = still

    def _rows(self, source: Source, op: Op) -> list[int]:
        return self.store.column("ids", relation=source.relation, op=op.id)

    def _insert(self, source: Source, op: Op, outcome: Outcome, only: Sequence[int] | None = None) -> None:
        values = {"op": op.id, "only": None if only is None else list(only)}
        (row,) = self.store.rows(self.store.text("insert", source, partial(self._inserting, source)), values)
        outcome.inserted += row["rows"]

    def _inserting(self, source: Source) -> sql.Composed:
        return source.insert(without_parent(source, self.store.left_above(source)))

    def _leave(self, source: Source, op: Op, outcome: Outcome, faults: Mapping[int, str], otherwise: str) -> bool:
        """Say what is left of an operation in the archive, if anything; what refers to it stays too."""
        left = self.store.rows(self.store.text("left_keys", source, source.left_keys), {"op": op.id})
        if left:
            self.store.left[source.id] = source
            self.store.execute("note_left", op=op.id, archive=source.relation)
        outcome.kept += [f"{source.label} ({row['key']}): {STAYS} {faults.get(row['id'], otherwise)}" for row in left]
        return bool(left)

    def _source_values(self) -> dict[str, Any]:
        return {"source": self.target.oid, "source_schema": self.target.schema, "source_name": self.target.name}
