"""Which tables a merge reaches, in which order, and what may happen to their rows. Pure: no SQL, no I/O."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..catalog.facts import Column, Index, Need, Rule, Table

_BOOKKEEPING = re.compile(
    r"^(date_?)?(created|updated|inserted|modified|changed)(_?(at|on|date|time|timestamp))?$", re.IGNORECASE
)
_WIDER = {"smallint": ("integer", "bigint", "numeric"), "integer": ("bigint", "numeric"), "bigint": ("numeric",)}
_SURROGATE = re.compile(r"\b(nextval|gen_random_uuid|uuid_generate_v[1-7]\w*|uuidv[47])\(", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One column of a reference. ``equality`` is the operator parent = child; ``cast`` the child's type if it differs."""

    child: int
    parent: int
    equality: str
    cast: str | None = None


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One way in which rows of ``child`` refer to rows of ``parent``; a foreign key, or declared by the user."""

    name: str
    child: int
    parent: int
    pairs: tuple[Pair, ...]
    condition: str | None = None
    declared: bool = False

    def holds(self, key: Sequence[int]) -> bool:
        """Whether it refers by this key of the parent."""
        return {pair.parent for pair in self.pairs} == set(key)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One table of the merge. ``incoming`` come from earlier nodes, ``own`` are the table's references to itself.

    ``moved`` are the columns whose values may change, ``uniques`` the unique indexes that a changed value may violate:
    its rows can then be duplicates of each other. ``needs`` are foreign keys over changed columns that no merge
    follows. A reference of a ``narrow`` one may not hold every key. ``plain`` tables just change a column after one
    parent: nothing about their rows has to be worked out before.
    """

    position: int
    table: Table
    incoming: tuple[Edge, ...]
    own: tuple[Edge, ...]
    outgoing: tuple[Edge, ...]
    moved: tuple[int, ...]
    own_moved: tuple[int, ...]
    uniques: tuple[Index, ...]
    exclusions: tuple[Index, ...]
    needs: tuple[Need, ...] = ()
    narrow: bool = False
    plain: bool = False

    @property
    def is_root(self) -> bool:
        return self.position == 0

    @property
    def merges(self) -> bool:
        return self.is_root or bool(self.uniques)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """Columns whose old and new values are kept while a batch runs."""
        referenced = {pair.parent for edge in (*self.outgoing, *self.own) for pair in edge.pairs}
        shared = {pair.child for edge in self.sharing for pair in edge.pairs}
        return tuple(sorted({*self.table.primary_key, *self.moved, *self.own_moved, *referenced, *shared}))

    @cached_property
    def doubtful(self) -> tuple[Rule, ...]:
        """What a row that changes, or goes and is to come back, may break as it is."""
        if self.merges:
            return self.table.doubtful
        return tuple(one for one in self.table.doubtful if self.changed and not isinstance(one, Need))

    @cached_property
    def sharing(self) -> tuple[Edge, ...]:
        """References that hold a column which changes and which another one holds too."""
        edges, changed = (*self.incoming, *self.own), set(self.changed)
        held = {edge: {pair.child for pair in edge.pairs} & changed for edge in edges}
        return tuple(e for e in edges if any(held[e] & held[other] for other in edges if other is not e))

    @cached_property
    def changed(self) -> tuple[int, ...]:
        """Columns that an UPDATE of this table sets."""
        return tuple(sorted({*self.moved, *self.own_moved}))

    @cached_property
    def key_changes(self) -> bool:
        """Whether an UPDATE changes a column of a key, which takes the stronger row lock."""
        keyed = {number for index in self.table.indexes if index.unique for number in index.columns}
        return bool(keyed & set(self.changed))

    @cached_property
    def stamped(self) -> bool:
        """Whether a trigger may change further columns of an updated row (``updated_at``)."""
        return any(t.before and t.row and t.on_update and t.enabled != "D" for t in self.table.triggers)

    @cached_property
    def content(self) -> tuple[int, ...]:
        """Columns that say something: neither identity, nor reference, nor the row's own bookkeeping of time."""
        excluded = {*self.table.primary_key, *self.moved}
        return tuple(c.number for c in self.table.columns if c.number not in excluded and not _incidental(c))


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Nodes in the order of processing, the root first; ``cycles`` are references that lead back up."""

    nodes: tuple[Node, ...]
    cycles: tuple[Edge, ...]

    @property
    def root(self) -> Node:
        return self.nodes[0]

    @property
    def declares(self) -> bool:
        """Some reference is the user's word, with no foreign key behind it."""
        return bool(self.declared)

    @cached_property
    def declared(self) -> tuple[Edge, ...]:
        """The references without a foreign key."""
        return tuple(edge for node in self.nodes for edge in (*node.incoming, *node.own) if edge.declared)

    @cached_property
    def by_table(self) -> Mapping[int, Node]:
        return {node.table.oid: node for node in self.nodes}


def _incidental(column: Column) -> bool:
    stamp = column.base_type.startswith("timestamp") or column.base_type == "date"
    surrogate = column.default is not None and _SURROGATE.search(column.default) is not None
    return bool(column.generated or column.identity or surrogate or (stamp and _BOOKKEEPING.match(column.name)))


def grow(root: Table, key: Sequence[int], tables: Mapping[int, Table], edges: Iterable[Edge]) -> Tree:
    """Find the tables that merging rows of ``root``, duplicates by ``key``, reaches through ``edges``."""
    growth = _Growth(root=root, key=frozenset(key), tables=tables, edges=tuple(edges))
    return growth.tree()


class _Growth:
    def __init__(self, *, root: Table, key: frozenset[int], tables: Mapping[int, Table], edges: tuple[Edge, ...]) -> None:
        self.root, self.key, self.tables, self.edges = root, key, tables, edges
        self.moved: dict[int, set[int]] = {root.oid: set()}
        self.used: list[Edge] = []

    def tree(self) -> Tree:
        while self._spread():
            pass
        order, cycles = self._order()
        return Tree(nodes=tuple(self._node(i, oid, order) for i, oid in enumerate(order)), cycles=tuple(cycles))

    def _spread(self) -> bool:
        """Follow every edge out of the tables reached so far; say whether that reached anything new."""
        before = (len(self.used), {oid: len(moved) for oid, moved in self.moved.items()})
        for edge in self.edges:
            if edge.parent in self.moved and self._moving(edge):
                if edge not in self.used:
                    self.used.append(edge)
                self.moved.setdefault(edge.child, set()).update(self._moving(edge))
        return before != (len(self.used), {oid: len(moved) for oid, moved in self.moved.items()})

    def _moving(self, edge: Edge) -> set[int]:
        """The child's columns whose values a merge of the parent changes."""
        if edge.parent == self.root.oid:
            return {pair.child for pair in edge.pairs if pair.parent not in self.key}
        if self._uniques(edge.parent):
            return {pair.child for pair in edge.pairs}
        return {pair.child for pair in edge.pairs if pair.parent in self.moved[edge.parent]}

    def _tested(self, oid: int) -> list[Index]:
        """Indexes that a changed value may violate. A generated column may depend on any other."""
        table, moved = self.tables[oid], self.moved[oid]
        volatile = moved | {c.number for c in table.columns if c.generated} if moved else set()
        return [i for i in table.indexes if i.ready and volatile & {*i.columns, *i.mentions}]

    def _uniques(self, oid: int) -> list[Index]:
        return [index for index in self._tested(oid) if index.unique and not index.exclusion]

    def _order(self) -> tuple[list[int], list[Edge]]:
        """Parents before children; an edge that would close a circle is set aside."""
        order: list[int] = []
        cycles: list[Edge] = []
        stack: list[int] = []

        def visit(oid: int) -> None:
            stack.append(oid)
            for edge in self.used:
                if edge.parent != oid or edge.child == oid or edge.child in order:
                    continue
                if edge.child in stack:
                    cycles.append(edge)
                else:
                    visit(edge.child)
            stack.pop()
            order.append(oid)

        visit(self.root.oid)
        return order[::-1], cycles

    def _node(self, position: int, oid: int, order: list[int]) -> Node:
        earlier, later = set(order[:position]), set(order[position + 1 :])
        own = tuple(e for e in self.used if e.parent == oid == e.child)
        incoming = tuple(e for e in self.used if e.child == oid and e.parent in earlier)
        return Node(
            position=position,
            table=self.tables[oid],
            incoming=incoming,
            own=own,
            outgoing=tuple(e for e in self.used if e.parent == oid and e.child in later),
            moved=tuple(sorted(set().union(*(self._moving(e) for e in incoming)))),
            own_moved=tuple(sorted(set().union(*(self._moving(e) for e in own)))),
            uniques=() if position == 0 else tuple(self._uniques(oid)),
            exclusions=tuple(i for i in self._tested(oid) if i.exclusion),
            needs=self._needs(oid),
            narrow=self._narrow((*incoming, *own)),
            plain=self._plain(oid, incoming, own),
        )

    def _needs(self, oid: int) -> tuple[Need, ...]:
        """Foreign keys over changed columns that the merge does not follow: their parents stay as they are."""
        followed = {edge.name for edge in self.used if edge.child == oid and not edge.declared}
        changed = self.moved[oid]
        return tuple(n for n in self.tables[oid].needs if changed & set(n.columns) and n.name not in followed)

    def _plain(self, oid: int, incoming: Sequence[Edge], own: Sequence[Edge]) -> bool:
        """A key that moves and those who hold it must change in one statement, and so hold others back."""
        table, moved = self.tables[oid], self.moved[oid]
        if oid == self.root.oid or own or len(incoming) != 1 or any(i.unique or i.exclusion for i in self._tested(oid)):
            return False
        (edge,) = incoming
        checked = bool(self._needs(oid)) or any(moved & set(check.columns) for check in table.checks)
        placed = bool({0, *moved} & set(table.partitioned_by))
        follows = bool({pair.parent for pair in edge.pairs} & self.moved[edge.parent])
        keyed = set(self.tables[edge.parent].primary_key)
        if checked or placed or follows or self._narrow(incoming):
            return False
        return all(pair.parent in keyed or pair.child not in moved for pair in edge.pairs)

    def _narrow(self, edges: Iterable[Edge]) -> bool:
        """A reference has another type or length than the key, which a survivor's key may not fit."""
        types = (
            (self.tables[edge.child].by_number[pair.child].type, self.tables[edge.parent].by_number[pair.parent].type)
            for edge in edges
            for pair in edge.pairs
        )
        return any(held not in (key, *_WIDER.get(key, ()), "text") for held, key in types)
