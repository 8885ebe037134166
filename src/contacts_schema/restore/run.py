"""Undoes batch after batch, newest first, each in one short transaction."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.rows import dict_row, scalar_row

from ..archive import Archive
from ..catalog.facts import Table
from ..catalog.read import find_table, read_tables
from ..compose import Fragment, comma, ident, template
from ..report import Progress
from ..retry import with_lock
from ..settings import Settings
from .sources import SQL, Source
from .triggers import lock, resting

# Data that does not fit any more: a value out of range, a constraint. Everything else is no row's fault.
_ROW_FAULTS = ("22", "23")


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation: rows archived, or changes journaled in one or several tables."""

    id: int
    kind: str
    sources: tuple[Source, ...]


class Restore:
    """Brings back everything that merging one table removed and changed."""

    def __init__(self, connection: Connection[Any], settings: Settings, target: Table, progress: Progress) -> None:
        self.connection, self.settings, self.target, self.progress = connection, settings, target, progress
        self.archive = Archive(connection, settings.private_schema)
        self.inserted = 0
        self.undone: Counter[str] = Counter()
        self.kept: list[str] = []
        self._undoings: dict[tuple[int, ...], bytes] = {}
        self._waiting: dict[int, Source] = {}

    def run(self) -> None:
        """Undo every batch. What cannot be brought back stays archived and is listed in ``kept``."""
        self.connection.execute(SQL["create_left"].format(), {})
        batches = self._column("batches", **self._source_values())
        self.progress.total(len(batches))
        for batch in batches:
            before, kept = self.inserted, len(self.kept)
            undone = Counter(self.undone)

            def attempt(batch: int = batch, before: int = before, kept: int = kept, undone: Counter[str] = undone) -> None:
                self.inserted, self.undone = before, Counter(undone)
                del self.kept[kept:]
                self._undo_batch(batch)

            with_lock(self.connection, self.settings, self.progress, "the tables of the archive", attempt)
            self.progress.advance(1, self.inserted - before)
        # Somebody may be looking something up in the archive, or the server be vacuuming it.
        with_lock(self.connection, self.settings, self.progress, "the archive", self.clean)

    def clean(self) -> None:
        """Drop what is empty; the schema too, once nothing of any run is left in it."""
        with self.connection.transaction():
            self._execute("finish_runs", **self._source_values())
            for source in self._sources.values():
                if self._scalar("is_done_with", relation=source.relation, id=source.id):
                    self._execute("drop_relation", relation=source.relation)
                    self._execute("forget_relation", id=source.id)
            if not self._scalar("in_use", schema=self.archive.schema):
                self._execute("drop_schema")

    def _undo_batch(self, batch: int) -> None:
        with self.connection.transaction():
            self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            ops = self._ops(batch)
            tables = [s.table for op in ops for s in op.sources if s.table is not None]
            unique = list({table.oid: table for table in tables}.values())
            lock(self.connection, unique)
            with resting(self.connection, unique):
                left = [op for op in ops if not self._undo(op)]
            self._execute("finish_ops", batch=batch, left=[op.id for op in left])
            if not left:
                self._execute("finish_batch", batch=batch)

    def _ops(self, batch: int) -> list[Op]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(self._sql("ops"), {"batch": batch}).fetchall()
        return [
            Op(id=row["id"], kind=row["kind"], sources=tuple(self._sources[r] for r in row["relations"])) for row in rows
        ]

    def _undo(self, op: Op) -> bool:
        """Undo one operation; false where something of it is left."""
        return self._bring_back(op) if op.kind == "archive" else self._change_back(op)

    def _bring_back(self, op: Op) -> bool:
        source = op.sources[0]
        if source.table is None:
            self._leave(source, op, "its table is gone")
            return False
        statement = source.insert().as_bytes(self.connection)
        faults = self._whole_or_row_by_row(statement, op, source, lambda row: self._came(row["rows"]))
        why = ", ".join(sorted(set(faults.values()))) or "what it refers to is not back"
        return not self._leave(source, op, why)

    def _came(self, rows: int) -> None:
        self.inserted += rows

    def _change_back(self, op: Op) -> bool:
        usable = [source for source in op.sources if source.undoable]
        for source in op.sources:
            if not source.undoable:
                self.kept.append(f"{source.label}: its table or its key is gone, nothing to undo")
        if not usable:
            return False
        left = {source.id: self._obstacles(source, op) for source in usable}
        faults = self._undo_all(usable, op)
        for source in usable:
            stays = [*left[source.id], *faults.get(source.id, ())]
            if stays:
                self._waiting[source.id] = source
            self._execute("forget", journal=source.relation, op=op.id, left=stays)
        return len(usable) == len(op.sources) and not any(left.values()) and not any(faults.values())

    def _obstacles(self, source: Source, op: Op) -> list[int]:
        """Say what is kept because people changed it; give the journal rows that wait for an archived row."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(source.obstacles(self._left_by(source)), {"op": op.id}).fetchall()
        for row in rows:
            if row["waiting"]:
                self.kept.append(f"{source.label} ({row['key']}): stays with the survivor, its own row is not back")
            elif row["gone"]:
                self.kept.append(f"{source.label} ({row['key']}): deleted or changed since, nothing to undo")
            else:
                self.kept.append(f"{source.label} ({row['key']}): changed since, kept")
        return [row["id"] for row in rows if row["waiting"]]

    def _left_by(self, source: Source) -> list[Source]:
        """Journals of the same table in which later changes wait: a run under other settings has one of its own."""
        return [other for other in self._waiting.values() if other.table == source.table]

    def _undo_all(self, sources: Sequence[Source], op: Op) -> dict[int, list[int]]:
        """All tables in one statement; if a row's fault stands in the way, table by table and row by row."""
        try:
            with self.connection.transaction():
                self._count(sources, self._row(self._undoing(sources), {"op": op.id, "only": None}))
        except psycopg.Error as error:
            if not _is_row_fault(error):
                raise
        else:
            return {}
        left: dict[int, list[int]] = {}
        for source in sources:
            statement = self._undoing([source])
            faults = self._row_by_row(statement, op, source, lambda row, s=source: self._count([s], row))  # type: ignore[misc]
            left[source.id] = list(faults)
            for row, why in faults.items():
                self.kept.append(f"{source.label} (journal row {row}): not moved back, {why}")
        return left

    def _undoing(self, sources: Sequence[Source]) -> bytes:
        wanted = tuple(source.id for source in sources)
        if wanted not in self._undoings:
            self._undoings[wanted] = _undo(sources).as_bytes(self.connection)
        return self._undoings[wanted]

    def _count(self, sources: Sequence[Source], row: Mapping[str, int]) -> None:
        for position, source in enumerate(sources):
            if row[f"~undone{position}"]:
                self.undone[source.label] += row[f"~undone{position}"]

    def _whole_or_row_by_row(
        self, statement: bytes, op: Op, source: Source, done: Callable[[dict[str, Any]], None]
    ) -> dict[int, str]:
        try:
            with self.connection.transaction():
                row = self._row(statement, {"op": op.id, "only": None})
        except psycopg.Error as error:
            if not _is_row_fault(error):
                raise
            return self._row_by_row(statement, op, source, done)
        done(row)
        return {}

    def _row_by_row(
        self, statement: bytes, op: Op, source: Source, done: Callable[[dict[str, Any]], None]
    ) -> dict[int, str]:
        """Each row on its own, again as long as that helps: one may have waited for another. Gives what is left and why."""
        waiting = self._column("ids", relation=source.relation, op=op.id)
        while True:
            faults: dict[int, str] = {}
            for row_id in waiting:
                try:
                    with self.connection.transaction():
                        row = self._row(statement, {"op": op.id, "only": row_id})
                except psycopg.Error as error:
                    if not _is_row_fault(error):
                        raise
                    faults[row_id] = _why(error)
                else:
                    done(row)
            left = self._column("ids", relation=source.relation, op=op.id) if op.kind == "archive" else list(faults)
            if len(left) in (0, len(waiting)):
                return faults
            waiting = left

    def _keys(self, source: Source, op: Op) -> list[str]:
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(source.left_keys(), {"op": op.id}).fetchall()

    def _leave(self, source: Source, op: Op, why: str) -> bool:
        """Say what is left of an operation in the archive, if anything; what refers to it stays too."""
        keys = self._keys(source, op)
        if keys:
            self._execute("note_left", ops=[op.id], archive=source.relation)
            self.kept += [f"{source.label} ({key}): stays in the archive, {why}" for key in keys]
        return bool(keys)

    @cached_property
    def _sources(self) -> Mapping[int, Source]:
        """Every archive and journal table, beside its source as that is today."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(self._sql("relations"), {"schema": self.archive.schema}).fetchall()
        kept = read_tables(self.connection, [row["oid"] for row in rows])
        found = {row["id"]: self._source_oid(row) for row in rows}
        tables = read_tables(self.connection, [oid for oid in found.values() if oid])
        return {row["id"]: self._source(row, kept[row["oid"]], tables.get(found[row["id"]] or 0)) for row in rows}

    def _source_oid(self, row: Mapping[str, Any]) -> int | None:
        """By oid; by name where the table was dropped and made again, as a dump and restore does."""
        if read_tables(self.connection, [row["source"]]):
            return int(row["source"])
        return find_table(self.connection, row["source_schema"], row["source_name"])

    def _source(self, row: Mapping[str, Any], kept: Table, table: Table | None) -> Source:
        names = dict(zip(row["numbers"], row["names"], strict=True))
        names |= dict(zip(row["keys"], row["key_names"], strict=True))
        same = table is not None and table.oid == row["source"]
        columns = {
            number: column
            for number, name in names.items()
            if table is not None and (column := table.by_number.get(number) if same else table.by_name.get(name)) is not None
        }
        return Source(
            id=row["id"],
            kind=row["kind"],
            schema=self.archive.schema,
            kept=kept,
            table=table,
            label=f"{row['source_schema']}.{row['source_name']}",
            columns=columns,
            names=names,
            numbers=tuple(row["numbers"]),
            keys=tuple(row["keys"]),
            moving=tuple(row["moving"]),
        )

    def _source_values(self) -> dict[str, Any]:
        return {"source": self.target.oid, "source_schema": self.target.schema, "source_name": self.target.name}

    def _sql(self, statement: str, **parts: Fragment) -> sql.Composed:
        return SQL[statement].format(schema=ident(self.archive.schema), **parts)

    def _split(self, statement: str, values: dict[str, Any]) -> tuple[sql.Composed, dict[str, Any]]:
        parts = {name: value for name, value in values.items() if isinstance(value, sql.Composable)}
        rest = {name: value for name, value in values.items() if name not in parts}
        return self._sql(statement, **parts), rest

    def _execute(self, statement: str, **values: Any) -> None:
        self.connection.execute(*self._split(statement, values))

    def _column(self, statement: str, **values: Any) -> list[Any]:
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(*self._split(statement, values)).fetchall()

    def _scalar(self, statement: str, **values: Any) -> Any:
        return self._column(statement, **values)[0]

    def _row(self, statement: bytes, values: Mapping[str, Any]) -> dict[str, Any]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement, values).fetchone()
        assert row is not None
        return row


def _undo(sources: Sequence[Source]) -> sql.Composed:
    counts = comma(
        template("(SELECT count(*) FROM {}) AS {}").format(ident(f"~undone{i}"), ident(f"~undone{i}"))
        for i in range(len(sources))
    )
    return SQL["undo"].format(updates=sql.SQL(",\n").join(source.undo(i) for i, source in enumerate(sources)), counts=counts)


def _is_row_fault(error: psycopg.Error) -> bool:
    return error.sqlstate is not None and error.sqlstate[:2] in _ROW_FAULTS


def _why(error: psycopg.Error) -> str:
    """Names and the code; the server's message may hold the row's values."""
    name = error.diag.constraint_name or error.diag.column_name
    return f"{name} (SQLSTATE {error.sqlstate})" if name else f"SQLSTATE {error.sqlstate}"
