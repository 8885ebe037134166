"""The tables of a merge, and what may happen to their rows. Pure: no SQL, no I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..catalog.facts import Column, Index, Need, Rule, Table

_BOOKKEEPING = re.compile(
    r"^(date_?)?(created|updated|inserted|modified|changed)(_?(at|on|date|time|timestamp))?$", re.IGNORECASE
)
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
        asked = (one for one in self.table.doubtful if not isinstance(one, Need) or self.asks_anew(one))
        return tuple(asked) if self.changed else ()

    def asks_anew(self, need: Need) -> bool:
        """Whether a row may lead nowhere by this key and change all the same: another reference moves its columns."""
        by_itself = {edge.name for edge in (*self.incoming, *self.own) if not edge.declared} - {e.name for e in self.sharing}
        return bool(set(need.columns) & set(self.changed)) and need.name not in by_itself

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
