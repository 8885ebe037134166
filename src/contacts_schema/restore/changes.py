"""Gives rows that stayed their old values again, from the journal, where they hold ours still."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from psycopg import sql

from ..compose import comma, ident, template
from .outcome import Op, Outcome
from .pieces import Piece, as_far_as_possible, refused, units
from .sources import SQL, Source
from .store import Store


class Changes:
    """The journals of one private schema."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._statements: dict[tuple[int, ...], bytes] = {}
        self._waiting: dict[int, Source] = {}

    def undo(self, op: Op, outcome: Outcome) -> bool:
        """Undo one operation; false where something of it is left."""
        usable = [source for source in op.sources if source.undoable]
        for source in op.sources:
            if not source.undoable:
                outcome.kept.append(f"{source.label}: its table or its key is gone, nothing to undo")
        if not usable:
            return False
        left = {source.id: self._obstacles(source, op, outcome) for source in usable}
        for relation, row in self._undo(usable, op, outcome):
            left[relation].append(row)
        for source in usable:
            if left[source.id]:
                self._waiting[source.id] = source
            self.store.execute("forget", journal=source.relation, op=op.id, left=left[source.id])
        return len(usable) == len(op.sources) and not any(left.values())

    def _obstacles(self, source: Source, op: Op, outcome: Outcome) -> list[int]:
        """Say what is kept because people changed it; give the journal rows that wait for an archived row."""
        rows = self.store.rows(source.obstacles(self._left_by(source)), {"op": op.id})
        outcome.kept += [f"{source.label} ({row['key']}): {_obstacle(row)}" for row in rows]
        return [row["id"] for row in rows if row["waiting"]]

    def _left_by(self, source: Source) -> list[Source]:
        """Journals of the same table in which later changes wait: a run under other settings has one of its own."""
        return [other for other in self._waiting.values() if other.table == source.table]

    def _undo(self, sources: Sequence[Source], op: Op, outcome: Outcome) -> Iterator[tuple[int, int]]:
        """All of it in one statement; else each unit that moved together, and of a unit each row. Gives what is left."""
        whole = partial(self._attempt, sources, op, outcome, None)
        if refused(self.store.connection, whole) is None:
            return
        of_id = {source.id: source for source in sources}

        def attempt(piece: Piece) -> str | None:
            concerned = [source for source in sources if any(relation == source.id for relation, _ in piece)]
            return refused(self.store.connection, partial(self._attempt, concerned, op, outcome, piece))

        for unit in as_far_as_possible(units(self._moved_from(sources, op)), attempt):
            for (pair,), why in as_far_as_possible([(pair,) for pair in unit], attempt).items():
                label, key = of_id[pair[0]].label, self._key(of_id[pair[0]], pair[1])
                outcome.kept.append(f"{label} ({key}): not moved back, {why}")
                yield pair

    def _moved_from(self, sources: Sequence[Source], op: Op) -> dict[tuple[int, int], list[int]]:
        """For each journal row the merged rows that its references were moved away from: a moved key, and the rows that
        hold it, name the same.
        """
        return {
            (source.id, row["id"]): row["moved_from"]
            for source in sources
            for row in self.store.rows(source.moved_from(), {"op": op.id})
        }

    def _key(self, source: Source, row: int) -> str:
        (key,) = self.store.values(source.journal_key(), {"id": row})
        return str(key)

    def _attempt(self, sources: Sequence[Source], op: Op, outcome: Outcome, piece: Piece | None) -> None:
        values: dict[str, Any] = {"op": op.id}
        for position, source in enumerate(sources):
            rows = None if piece is None else [row for relation, row in piece if relation == source.id]
            values[f"only{position}"] = rows
        (counts,) = self.store.rows(self._statement(sources), values)
        for position, source in enumerate(sources):
            if counts[f"~undone{position}"]:
                outcome.undone[source.label] += counts[f"~undone{position}"]

    def _statement(self, sources: Sequence[Source]) -> bytes:
        wanted = tuple(source.id for source in sources)
        if wanted not in self._statements:
            self._statements[wanted] = _undo(sources).as_bytes(self.store.connection)
        return self._statements[wanted]


def _obstacle(row: dict[str, Any]) -> str:
    if row["waiting"]:
        return "stays with the survivor, its own row is not back"
    return "deleted or changed since, nothing to undo" if row["gone"] else "changed since, kept"


def _undo(sources: Sequence[Source]) -> sql.Composed:
    counts = comma(
        template("(SELECT count(*) FROM {}) AS {}").format(ident(f"~undone{i}"), ident(f"~undone{i}"))
        for i in range(len(sources))
    )
    return SQL["undo"].format(updates=sql.SQL(",\n").join(source.undo(i) for i, source in enumerate(sources)), counts=counts)
