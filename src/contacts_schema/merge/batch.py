"""One batch: one short transaction that merges some groups, or leaves everything as it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from ..archive import Archive, Relation
from ..catalog.read import fingerprint_query
from ..compose import Fragment, comma, fragment, ident
from ..ddl import past_vacuum
from ..errors import Reason
from ..session import IN_BATCH
from .counters import Counters, Interference
from .moves import move_plain, move_together
from .problems import reasons_of
from .removals import fill_survivors, has_none, index_keepers, remove
from .resolve import Contended, Resolver, Tally
from .root import RootStatements
from .statements import SQL
from .writes import writes_of


class PlanChanged(Exception):
    """The catalog is no longer the one the plan was made for."""


class Undecided(Exception):
    """The batch holds rows that the plan's settings do not say how to merge."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("undecided")
        self.reasons = tuple(reasons)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a batch did: duplicates removed, child rows archived, references moved and rows changed by triggers, by table."""

    duplicates: int = 0
    archived: int = 0
    skipped: int = 0
    moved: Mapping[str, int] = field(default_factory=dict)
    beyond: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A stretch of the work list: after ``after`` up to ``end``, at most ``cap`` duplicates a group."""

    after: int
    end: int
    groups: int
    cap: int


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a run's batches have in common.

    Columns to ``fill``, tables whose colliding rows may differ (``decided``), the ``run`` that batches are noted under
    (None where there will be none), and the ``fingerprint`` of the catalog that the plan was made for.
    """

    fill: tuple[int, ...]
    decided: frozenset[int]
    run: int | None
    fingerprint: str


class Batch:
    """Runs batches for one plan on one connection."""

    def __init__(
        self, connection: Connection[Any], resolver: Resolver, root: RootStatements, archive: Archive, terms: Terms
    ) -> None:
        self.connection, self.resolver, self.root, self.archive = connection, resolver, root, archive
        self.terms, self.fill = terms, terms.fill
        self.nodes = resolver.tree.nodes
        self.counters = Counters(connection, (node.table.oid for node in self.nodes))
        self.writes = writes_of(resolver, archive, terms.fill)
        self._moves: dict[tuple[int, ...], bytes] = {}

    def prepare(self, patiently: Callable[[Callable[[], None], list[tuple[str, str]]], None]) -> None:
        """What a run's batches need of the archive; once, before the first. ``patiently`` retries for locks."""
        archive = self.writes[0].archive
        if self.fill and archive is not None:
            patiently(self._index_keepers, [(self.archive.schema, archive.name)])

    def _index_keepers(self) -> None:
        writes = self.writes[0]
        assert writes.archive is not None
        with self.connection.transaction():
            past_vacuum(self.connection, [ident(writes.schema, writes.archive.name)])
            self.connection.execute(index_keepers(writes), {})

    def merge(self, piece: Slice) -> Merged:
        """Merge a slice. Raises Contended, PlanChanged, Undecided or Interference, and has then changed nothing."""
        with self.connection.transaction():
            self._begin()
            before = self.counters.read()
            skipped = self._take(piece)
            tallies = self.resolver.resolve(lock=True)
            self._refuse(tallies)
            merged = self._write(tallies)
            beyond = self.counters.beyond(before, tallies, merged)
        return Merged(
            duplicates=tallies[0].merged,
            archived=sum(t.merged for t in tallies),
            skipped=skipped,
            moved=merged,
            beyond=beyond,
        )

    def _begin(self) -> None:
        """Hold off DDL, then see that the plan still fits; constraints are checked as the batch goes, not at its end."""
        self.connection.execute(self._opening, {})
        if self._row(self._fingerprint, {})["fingerprint"] != self.terms.fingerprint:
            raise PlanChanged

    @cached_property
    def _opening(self) -> bytes:
        tables = sorted((node.table for node in self.nodes), key=lambda t: t.oid)
        listed = comma(ident(t.schema, t.name) for t in tables)
        return SQL["open_batch"].format(settings=fragment(IN_BATCH), tables=listed).as_bytes(self.connection)

    @cached_property
    def _fingerprint(self) -> bytes:
        return fingerprint_query(node.table.oid for node in self.nodes).as_bytes(self.connection)

    @cached_property
    def _taking(self) -> bytes:
        return self.root.take_duplicates(first=self._stays).as_bytes(self.connection)

    @property
    def _stays(self) -> Fragment | None:
        """What a survivor's empty columns were filled with may change its rank: it stays the survivor."""
        return has_none(self.writes[0]) if self.fill else None

    def _take(self, piece: Slice) -> int:
        """Lock the groups and take their duplicates; gives how many were seen and not to be had."""
        counts = self._row(self._taking, {"after": piece.after, "end": piece.end, "cap": piece.cap, "run": self.terms.run})
        return int(counts["seen"] - counts["taken"])

    def _refuse(self, tallies: Sequence[Tally]) -> None:
        if reasons := reasons_of(tallies, self.terms.decided):
            raise Undecided(reasons)

    def _write(self, tallies: Sequence[Tally]) -> Mapping[str, int]:
        """Move, remove from the leaves up, fill; gives the rows changed by table."""
        if not tallies[0].merged:
            return {}
        moving = [t.node.position for t in tallies if t.moved and t.node.changed]
        plain = [node.position for node in self.nodes if node.plain]
        removing = [t.node.position for t in reversed(tallies) if t.merged]
        ids = iter(self._ops([*moving, *plain], removing, fill=bool(self.fill)))
        moved = self._move(moving, plain, next(ids)) if moving or plain else {}
        for position in removing:
            op = next(ids)
            self._remove(tallies[position], op)
        if self.fill:
            filled = self.connection.execute(self._fill, {"op": op, "fill": next(ids)}).rowcount
            label = self.nodes[0].table.label
            moved = {**moved, label: moved.get(label, 0) + filled} if filled else moved
        return moved

    def _ops(self, moving: Sequence[int], removing: Sequence[int], *, fill: bool) -> list[int]:
        def journal(position: int) -> int:
            return _id(self.writes[position].journal)

        ops: list[tuple[str, Sequence[int]]] = []
        ops += [("move", [journal(p) for p in moving])] if moving else []
        ops += [("archive", [_id(self.writes[p].archive)]) for p in removing]
        ops += [("fill", [journal(0)])] if fill else []
        return self.archive.begin_batch(self._run, ops)

    @property
    def _run(self) -> int:
        assert self.terms.run is not None
        return self.terms.run

    def _move(self, positions: Sequence[int], plain: Sequence[int], op: int) -> dict[str, int]:
        wanted = tuple(positions)
        if wanted not in self._moves:
            self._moves[wanted] = move_together(self.writes, wanted).as_bytes(self.connection)
        found = self._row(self._moves[wanted], {"move": op}) if wanted else {}
        moved = {self.nodes[p].table.label: found[f"~moved{p}"] for p in positions}
        return moved | {self.nodes[p].table.label: self._move_plain(p, op) for p in plain}

    def _move_plain(self, position: int, op: int) -> int:
        counts = self._row(self._plain_moves[position], {"move": op})
        if counts["found"] != counts["moved"]:
            raise Contended
        return int(counts["moved"])

    @cached_property
    def _plain_moves(self) -> list[bytes]:
        return [move_plain(w).as_bytes(self.connection) if w.node.plain else b"" for w in self.writes]

    @cached_property
    def _removals(self) -> list[bytes]:
        return [remove(w).as_bytes(self.connection) if w.archive else b"" for w in self.writes]

    @cached_property
    def _fill(self) -> bytes:
        return fill_survivors(self.writes[0], self.fill).as_bytes(self.connection)

    def _remove(self, tally: Tally, op: int) -> None:
        removed = self._row(self._removals[tally.node.position], {"op": op})["rows"]
        if removed != tally.merged:
            raise Interference(tally.node.table.label, tally.merged, removed)

    def _row(self, statement: bytes, values: Mapping[str, Any]) -> dict[str, Any]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement, values).fetchone()
        assert row is not None
        return row


def _id(relation: Relation | None) -> int:
    assert relation is not None
    return relation.id
