"""The statements that work out one table's share of a batch. Composes text; runs nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..catalog.facts import Index, Need, Rule
from ..compose import NOTHING, TRUE, Fragment, comma, differ, every, fragment, ident, some, template
from ..sql import load
from .joins import Columns, condition, refers
from .tree import Edge, Node

SQL = load("merge")


def rows_of(node: Node) -> sql.Identifier:
    """The temporary table that holds the changed rows of one table of the merge."""
    return ident("pg_temp", f"~rows{node.position}")


def old(number: int) -> sql.Identifier:
    """The column for what a row held."""
    return ident(f"~o{number}")


def new(number: int) -> sql.Identifier:
    """The column for what a row will hold."""
    return ident(f"~n{number}")


def source(number: int) -> sql.Identifier:
    """The column that tells which merged row a reference was moved away from."""
    return ident(f"~p{number}")


def of(alias: str, column: sql.Identifier) -> sql.Composed:
    """A column of an alias."""
    return template("{}.{}").format(ident(alias), column)


@dataclass(frozen=True, kw_only=True)
class NodeStatements:
    """Everything about one node, as statements. ``parents`` are the nodes of the tree by their table."""

    node: Node
    parents: dict[int, Node]

    @cached_property
    def table(self) -> sql.Identifier:
        return ident(self.node.table.schema, self.node.table.name)

    @cached_property
    def name(self) -> sql.Identifier:
        """The table's bare name, its alias everywhere: conditions may qualify columns with it."""
        return ident(self.node.table.name)

    @cached_property
    def rows(self) -> sql.Identifier:
        return rows_of(self.node)

    @cached_property
    def parts(self) -> dict[str, Fragment]:
        """What most statements are composed with."""
        return {"table": self.table, "name": self.name, "rows": self.rows}

    @cached_property
    def hits(self) -> sql.Identifier:
        return ident("pg_temp", f"~hits{self.node.position}")

    def column(self, number: int) -> sql.Composed:
        return template("{}.{}").format(self.name, self.bare(number))

    def bare(self, number: int) -> sql.Identifier:
        return ident(self.node.table.by_number[number].name)

    def row(self, alias: str) -> Columns:
        """A row of the table, by an alias of its own."""
        return lambda number: of(alias, self.bare(number))

    def create(self) -> list[sql.Composed]:
        values = [
            template(", {} AS {}, {} AS {}").format(self.bare(n), old(n), self.bare(n), new(n)) for n in self.node.kept
        ]
        sources = [template(", NULL::bigint AS {}").format(source(n)) for n in self.node.changed]
        return [
            SQL["create_rows"].format(
                rows=self.rows, table=self.table, values=sql.Composed(values), sources=sql.Composed(sources)
            ),
            SQL["create_hits"].format(hits=self.hits),
        ]

    # Which rows are meant

    def joined(self, edge: Edge, parent: str = "~p") -> Fragment:
        """The table's row refers, over this reference, to a row that was worked out."""
        return refers(edge, lambda n: of(parent, old(n)), self.column)

    @staticmethod
    def altered(edge: Edge, alias: str = "~p") -> Fragment:
        """The parent's row has, or will have, other values in the columns that this reference holds."""
        parents = [pair.parent for pair in edge.pairs]
        return differ((of(alias, old(n)) for n in parents), (of(alias, new(n)) for n in parents))

    def count_referring(self, edge: Edge, which: Fragment = TRUE) -> sql.Composed:
        """How many rows refer, over this reference, to rows of the parent that change or go."""
        return SQL["cycle"].format(
            parent=rows_of(self.parents[edge.parent]),
            table=self.table,
            name=self.name,
            joined=self.joined(edge),
            changed=self.altered(edge),
            condition=every([condition(edge), which]),
        )

    def hit(self, edge: Edge, *, lock: bool) -> sql.Composed:
        return self.find("hit", edge, self.strength if lock else None)

    @property
    def strength(self) -> str:
        return "FOR UPDATE" if self.node.merges or self.node.key_changes else "FOR NO KEY UPDATE"

    def find(self, statement: str, edge: Edge, strength: str | None, **parts: Fragment) -> sql.Composed:
        lock = template(f"{strength} OF {{}} NOWAIT").format(self.name) if strength else NOTHING
        return SQL[statement].format(
            name=self.name,
            table=self.table,
            parent=rows_of(self.parents[edge.parent]),
            hits=self.hits,
            joined=self.joined(edge),
            changed=self.altered(edge),
            condition=condition(edge),
            lock=lock,
            **parts,
        )

    def torn(self) -> sql.Composed | None:
        """How many rows are pulled apart by their references; None where none of them can be."""
        parts = [self._torn_from_parent(edge) for edge in self.node.sharing]
        if not parts:
            return None
        parts.append(SQL["contradictory"].format(rows=self.rows))
        return SQL["torn"].format(parts=sql.SQL(" UNION ").join(parts))

    def _torn_from_parent(self, edge: Edge) -> sql.Composed:
        parent = self.parents[edge.parent]
        led = refers(edge, lambda n: of("~q", ident(parent.table.by_number[n].name)), lambda n: of("~r", old(n)))
        return SQL["torn_from_parent"].format(
            **self.parts,
            parent=ident(parent.table.schema, parent.table.name),
            parent_rows=rows_of(parent),
            moved=self._moved(pair.child for pair in edge.pairs),
            led=led,
            joined=self.joined(edge),
            changed=self.altered(edge),
            condition=condition(edge),
        )

    @staticmethod
    def _moved(numbers: Iterable[int]) -> Fragment:
        listed = list(numbers)
        return differ((of("~r", old(n)) for n in listed), (of("~r", new(n)) for n in listed))

    def broken(self, rule: Rule, *, fills: bool = False) -> sql.Composed:
        """How many rows that change or go would not be taken as they are; ``fills`` where their survivors change as well."""
        if self.node.plain:
            (edge,) = self.node.incoming
            return self.count_referring(edge, self._breaks(rule))
        which = "changing_or_filled" if fills and self.node.is_root else "changing"
        # A foreign key whose columns stay, or move with its parent, is asked of a row only when it comes back.
        if isinstance(rule, Need) and not self.node.asks_anew(rule):
            which = "going"
        return SQL["broken"].format(
            **self.parts | self._aliased(rule) | {"rows": SQL[which].format(rows=self.rows)}, breaks=self._breaks(rule)
        )

    def broken_anywhere(self, rule: Rule) -> sql.Composed:
        """Whether any row would not be taken as it is."""
        return SQL["broken_anywhere"].format(**self.parts | self._aliased(rule), breaks=self._breaks(rule))

    def twins(self, index: Index) -> sql.Composed:
        """Whether two rows are equal under an index."""
        keys = [template("({})").format(fragment(key)) for key in index.keys]
        there = [] if index.nulls_not_distinct else [template("{} IS NOT NULL").format(key) for key in keys]
        predicate = [template("({})").format(fragment(index.predicate))] if index.predicate else []
        return SQL["twins"].format(
            table=self.table, name=self.name, keys=comma(keys), indexed=every([*there, *predicate, TRUE])
        )

    @staticmethod
    def _breaks(rule: Rule) -> Fragment:
        return fragment(rule.lacking if isinstance(rule, Need) else f"NOT ({rule.expression})")

    @staticmethod
    def _aliased(rule: Rule) -> dict[str, Fragment]:
        return {"name": ident("~image")} if isinstance(rule, Need) else {}

    def tally(self) -> sql.Composed:
        unkeyed = [
            template("({} IS NULL AND {} IS NOT NULL)").format(of("~r", new(n)), of("~r", old(n))) for n in self.node.changed
        ]
        return SQL["tally"].format(rows=template('{} AS "~r"').format(self.rows), unkeyed=some(unkeyed))
