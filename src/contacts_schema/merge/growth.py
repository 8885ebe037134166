"""Which tables a merge reaches, and in which order. Pure: no SQL, no I/O."""

from collections.abc import Iterable, Mapping, Sequence

from ..catalog.facts import Index, Need, Table
from .tree import Edge, Node, Tree

_WIDER = {"smallint": ("integer", "bigint", "numeric"), "integer": ("bigint", "numeric"), "bigint": ("numeric",)}


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
