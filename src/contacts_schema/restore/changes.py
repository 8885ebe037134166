"""Gives rows that stayed their old values again, from the journal, where they hold ours still."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from psycopg import sql

from ..compose import comma, ident, template
from .journal import Journal
from .outcome import Op, Outcome
from .pieces import Piece, Refusal, as_far_as_possible, refused, units
from .sources import SQL, Source
from .store import Store

Pair = tuple[int, int]
"""A journal row: its relation and its number."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said of a row, if anything; ``stays`` in the journal, ``partly`` where some of its columns are done."""

    said: str = ""
    stays: bool = False
    partly: bool = False


DONE = Verdict()
CHANGED = Verdict(said="changed since, kept")
GONE = Verdict(said="deleted or changed since, nothing to undo")
SUPERSEDED = Verdict(said="stays with the survivor, its own row is not back", stays=True)
_WAITS = replace(SUPERSEDED, partly=True)
NOT_USABLE = "its table or its key is gone, nothing to undo"


class Changes:
    """The journals of one private schema."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._statements: dict[tuple[int, ...], bytes] = {}

    def undo(self, op: Op, outcome: Outcome) -> bool:
        """Undo one operation; false where something of it is left."""
        usable = [source for source in op.sources if source.undoable]
        for source in op.sources:
            if not source.undoable:
                outcome.kept.append(f"{source.label}: {NOT_USABLE}")
        seen = self._look(usable, op, hold=True)
        wanted = [pair for pair, row in seen.items() if row["ours"] and not row["gone"] and not row["superseded"]]
        undone, faults = self._undo(usable, op, wanted)
        faults |= self._passed_over(usable, op, set(wanted) - undone - set(faults))
        verdicts = {pair: faults.get(pair) or _verdict(row) for pair, row in seen.items()}
        for source in usable:
            mine = {row: verdict for (relation, row), verdict in verdicts.items() if relation == source.id}
            keys = [f"{source.label} ({seen[source.id, row]['key']})" for row in mine]
            outcome.kept += [f"{key}: {v.said}" for key, v in zip(keys, mine.values(), strict=True) if v.said]
            outcome.undone += Counter({source.label: sum(relation == source.id for relation, _ in undone)})
            self._settle(source, op, mine)
        return len(usable) == len(op.sources) and not any(verdict.stays for verdict in verdicts.values())

    def _look(self, sources: Sequence[Source], op: Op, *, hold: bool) -> dict[Pair, Mapping[str, Any]]:
        """What became of every row that the operation changed; ``hold`` keeps writers from it until the batch's end."""
        found: dict[Pair, Mapping[str, Any]] = {}
        for source in sources:
            journal = Journal(source=source)
            if hold:
                self.store.connection.execute(self.store.text("hold", source, journal.hold), {"op": op.id})
            look = partial(journal.look, self.store.left_of(source), self.store.left_below(source))
            rows = self.store.rows(self.store.text("look", source, look), {"op": op.id})
            found |= {(source.id, row["id"]): row for row in rows}
        return found

    def _undo(self, sources: Sequence[Source], op: Op, wanted: Sequence[Pair]) -> tuple[set[Pair], dict[Pair, Verdict]]:
        """All of it in one statement; else the units that moved together, and of a unit the rows.

        Gives what was undone, and what was refused and why.
        """
        undone: set[Pair] = set()

        def attempt(pieces: Iterable[Piece]) -> Refusal | None:
            rows, done = list(chain.from_iterable(pieces)), set[Pair]()
            refusal = refused(self.store.connection, partial(self._attempt, sources, op, rows, done))
            undone.update(done if refusal is None else ())
            return refusal

        if not wanted or attempt([tuple(wanted)]) is None:
            return undone, {}
        faults: dict[Pair, Verdict] = {}
        for unit, why in as_far_as_possible(self._units(sources, op, wanted), attempt).items():
            left = as_far_as_possible([(pair,) for pair in unit], attempt)
            faults |= {pair: Verdict(said=f"not moved back, {why}", stays=True) for (pair,) in left}
        return undone, faults

    def _units(self, sources: Sequence[Source], op: Op, wanted: Sequence[Pair]) -> list[Piece]:
        """A moved key and the rows that hold it were moved away from the same merged row."""
        moved_from = {
            (source.id, row["id"]): row["moved_from"]
            for source in sources
            for row in self.store.rows(Journal(source=source).moved_from(), {"op": op.id})
        }
        return units({pair: moved_from[pair] for pair in wanted})

    def _attempt(self, sources: Sequence[Source], op: Op, rows: Sequence[Pair], done: set[Pair]) -> None:
        concerned = [source for source in sources if any(relation == source.id for relation, _ in rows)]
        values: dict[str, Any] = {"op": op.id}
        for position, source in enumerate(concerned):
            values[f"only{position}"] = [row for relation, row in rows if relation == source.id]
        (found,) = self.store.rows(self._statement(concerned), values)
        for position, source in enumerate(concerned):
            done.update((source.id, row) for row in found[f"~undone{position}"])

    def _statement(self, sources: Sequence[Source]) -> bytes:
        wanted = tuple(source.id for source in sources)
        if wanted not in self._statements:
            self._statements[wanted] = undo_together(sources).as_bytes(self.store.connection)
        return self._statements[wanted]

    def _passed_over(self, sources: Sequence[Source], op: Op, rows: set[Pair]) -> dict[Pair, Verdict]:
        """Rows that were there and then did not hold ours any more: the action of a foreign key came first."""
        if not rows:
            return {}
        seen = self._look(sources, op, hold=False)
        return {pair: CHANGED for pair in rows if seen[pair]["changed"] or seen[pair]["ours"] or seen[pair]["gone"]}

    def _settle(self, source: Source, op: Op, verdicts: Mapping[int, Verdict]) -> None:
        """Forget what is done; of a row that waits in one column, the others."""
        stay = [row for row, verdict in verdicts.items() if verdict.stays]
        partly = [row for row in stay if verdicts[row].partly]
        if partly:
            self.store.connection.execute(Journal(source=source).settle(), {"op": op.id, "rows": partly})
        self.store.execute("forget", journal=source.relation, op=op.id, left=stay)
        if stay:
            self.store.left[source.id] = source


def _verdict(row: Mapping[str, Any]) -> Verdict:
    if row["superseded"]:
        return SUPERSEDED
    if row["gone"]:
        return GONE
    if row["waiting"]:
        return _WAITS
    return CHANGED if row["changed"] else DONE


def undo_together(sources: Sequence[Source]) -> sql.Composed:
    """One statement for all of them; takes ``op`` and, for each, the rows it is to undo as ``onlyN``."""
    names = [ident(f"~undone{i}") for i in range(len(sources))]
    lists = [template('ARRAY(SELECT "~id" FROM {}) AS {}').format(name, name) for name in names]
    updates = sql.SQL(",\n").join(Journal(source=source).undo(i) for i, source in enumerate(sources))
    return SQL["undo"].format(updates=updates, undone=comma(lists))
