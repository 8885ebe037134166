"""The statements that change something: move, remove into the archive, fill. Composes text; runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ..archive import Relation, into, key
from ..compose import NOTHING, Fragment, comma, every, fragment, ident, some, template
from .statements import SQL, NodeStatements, new, of, old, rows_of, source
from .tree import Edge, Node

_NOWHERE = sql.SQL("NULL::bigint")


def journaled(node: Node, fill: Sequence[int] = ()) -> tuple[int, ...]:
    """Columns whose old and new values go to the journal: those that are set, all where a trigger may set others.

    A row without a primary key is journaled whole, to be found again.
    """
    if node.stamped or not node.table.primary_key:
        return tuple(c.number for c in node.table.columns if not c.generated)
    return tuple(sorted({*node.changed, *fill}))


@dataclass(frozen=True, kw_only=True)
class WriteStatements:
    """The writes to one node's table, into ``archive`` and ``journal`` of ``schema``."""

    of_node: NodeStatements
    schema: str
    archive: Relation | None
    journal: Relation | None
    references: tuple[Edge, ...]

    @property
    def node(self) -> Node:
        return self.of_node.node

    def move(self, position: int) -> sql.Composed:
        """One table's part of the statement that moves every reference; to be joined with those of the others."""
        assert self.journal is not None
        numbers = self.journal.numbers
        beyond = set(numbers) - set(self.node.kept)
        before = template(
            ' JOIN {} AS "~before" ON "~before".ctid = "~r"."~tid" AND coalesce("~before".tableoid = "~r"."~rel", false)'
        )
        return SQL["move_table"].format(
            moved=ident(f"~moved{position}"),
            kept=ident(f"~journal{position}"),
            table=self.of_node.table,
            name=self.of_node.name,
            rows=self.of_node.rows,
            values=comma(template("{} = {}").format(self.of_node.bare(n), of("~r", new(n))) for n in self.node.changed),
            before=before.format(self.of_node.table) if beyond else NOTHING,
            same=NOTHING,
            journaled=comma(self._journaled(numbers, "~before" if beyond else None)),
            journal=ident(self.schema, self.journal.name),
            columns=comma(self._journal_columns(numbers, self.journal.moving)),
        )

    def move_plain(self) -> sql.Composed:
        """The whole of a plain table's move; tells how many rows were found and how many moved."""
        assert self.journal is not None
        numbers, (edge,) = self.journal.numbers, self.node.incoming
        found = [
            *((self.of_node.column(n), old(n)) for n in numbers),
            *((self.of_node.moved_value(n), new(n)) for n in self.node.changed),
            *((self.of_node.moved_source(n), source(n)) for n in self.node.changed),
        ]
        return SQL["move_plain"].format(
            table=self.of_node.table,
            name=self.of_node.name,
            parent=rows_of(self.of_node.parents[edge.parent]),
            found=sql.Composed([template(", {} AS {}").format(value, name) for value, name in found]),
            joined=self.of_node.joined(edge),
            changed=self.of_node.altered(edge),
            condition=self.of_node.condition(edge),
            values=comma(template("{} = {}").format(self.of_node.bare(n), of("~found", new(n))) for n in self.node.changed),
            journaled=comma(self._journaled(numbers, None, "~found")),
            journal=ident(self.schema, self.journal.name),
            columns=comma(self._journal_columns(numbers, self.journal.moving)),
        )

    def sweep(self, edge: Edge, parent: "WriteStatements") -> sql.Composed:
        """Lead what still refers to an archived row of ``parent`` to its survivor."""
        assert self.journal is not None
        assert parent.archive is not None
        numbers, ours = self.journal.numbers, {pair.child: pair for pair in edge.pairs}
        news = [
            (self.of_node.cast(ours[n], of("~s", parent.of_node.bare(ours[n].parent))), new(n))
            if n in ours
            else (self.of_node.column(n), new(n))
            for n in self.node.changed
        ]
        olds = [(self.of_node.column(n), old(n)) for n in numbers]
        found = [*olds, *news, *((_NOWHERE, source(n)) for n in self.node.changed)]
        keys = {n: into(n) for n in parent.node.table.primary_key}
        return SQL["sweep"].format(
            table=self.of_node.table,
            name=self.of_node.name,
            parent=parent.of_node.table,
            archive=ident(self.schema, parent.archive.name),
            found=sql.Composed([template(", {} AS {}").format(value, name) for value, name in found]),
            survivor=parent.same_key(ident("~s"), keys, "~a"),
            joined=self._refers(edge, parent, "~a"),
            present=self._refers(edge, parent, "~x"),
            condition=self.of_node.condition(edge),
            values=comma(template("{} = {}").format(self.of_node.bare(n), of("~found", new(n))) for n in self.node.changed),
            journaled=comma(self._journaled(numbers, None, "~found")),
            journal=ident(self.schema, self.journal.name),
            columns=comma(self._journal_columns(numbers, self.journal.moving)),
        )

    def _refers(self, edge: Edge, parent: "WriteStatements", alias: str) -> Fragment:
        return every(
            template("{} {} {}").format(
                self.of_node.cast(pair, of(alias, parent.of_node.bare(pair.parent))),
                fragment(pair.equality),
                self.of_node.column(pair.child),
            )
            for pair in edge.pairs
        )

    def _journaled(self, numbers: Sequence[int], before: str | None, rows: str = "~r") -> list[Fragment]:
        """Primary key after, old values, new values, where each reference came from."""
        assert self.journal is not None
        olds = [of(before, self.of_node.bare(n)) if before else of(rows, old(n)) for n in numbers]
        return [
            *(self.of_node.column(n) for n in self.node.table.primary_key),
            *olds,
            *(self.of_node.column(n) for n in numbers),
            *(of(rows, source(n)) if n in self.node.changed else _NOWHERE for n in self.journal.moving),
        ]

    def _journal_columns(self, numbers: Sequence[int], moving: Sequence[int]) -> list[Fragment]:
        return [
            ident("~op"),
            *(key(n) for n in self.node.table.primary_key),
            *(old(n) for n in numbers),
            *(new(n) for n in numbers),
            *(source(n) for n in moving),
        ]

    def remove(self) -> sql.Composed:
        assert self.archive is not None
        table = self.node.table
        return SQL["remove"].format(
            table=self.of_node.table,
            name=self.of_node.name,
            rows=self.of_node.rows,
            same_key=self.same_key(self.of_node.name),
            unreferenced=every(self._unreferenced(edge) for edge in self.references),
            keeper_key=comma(
                [*(of("~r", new(n)) for n in table.primary_key), *(of("~r", source(n)) for n in self.node.changed)]
            ),
            columns=comma(self.of_node.column(c.number) for c in table.columns),
            archived=comma(
                [
                    *(into(n) for n in table.primary_key),
                    *(source(n) for n in self.node.changed),
                    *(ident(c.name) for c in table.columns),
                ]
            ),
            archive=ident(self.schema, self.archive.name),
        )

    def _unreferenced(self, edge: Edge) -> Fragment:
        """No row of the child refers to this one, but those that go with it."""
        child = self.of_node.parents[edge.child]
        joined = every(
            template("{} {} {}").format(
                self.of_node.cast(pair, self.of_node.column(pair.parent)),
                fragment(pair.equality),
                of("~child", ident(child.table.by_number[pair.child].name)),
            )
            for pair in edge.pairs
        )
        going: Fragment = NOTHING
        if edge.child == edge.parent:
            going = template(
                ' AND NOT EXISTS (SELECT FROM {} AS "~x" WHERE "~x"."~keeper" IS NOT NULL'
                ' AND "~x"."~tid" = "~child"."~tid" AND coalesce("~x"."~rel" = "~child"."~rel", false))'
            ).format(rows_of(child))
        name = ident(child.table.name)
        # A subquery of its own, because the user's condition may qualify columns with the table's name.
        rows = template('SELECT {}.*, {}.ctid AS "~tid", {}.tableoid AS "~rel" FROM {} AS {} WHERE {}').format(
            name, name, name, ident(child.table.schema, child.table.name), name, self.of_node.condition(edge)
        )
        return template('NOT EXISTS (SELECT FROM ({}) AS "~child" WHERE {}{})').format(rows, joined, going)

    def same_key(self, left: Fragment, names: Mapping[int, sql.Identifier] | None = None, alias: str = "~r") -> Fragment:
        """The table's own row, or the alias ``left``, has the primary key that ``alias`` holds under ``names``."""
        index = self.node.table.primary_index
        assert index is not None  # a table whose rows can be merged has a primary key, or is refused
        return every(
            template("{}.{} {} {}").format(
                left, self.of_node.bare(n), fragment(operator or "="), of(alias, names[n] if names else old(n))
            )
            for n, operator in zip(index.columns, index.equality, strict=True)
        )

    def fill(self, columns: Sequence[int]) -> sql.Composed:
        """Fill the survivors' empty columns from what the archive has just taken in."""
        assert self.archive is not None
        assert self.journal is not None
        numbers = self.journal.numbers
        keys = {n: into(n) for n in self.node.table.primary_key}
        return SQL["fill"].format(
            table=self.of_node.table,
            name=self.of_node.name,
            values=comma(template("{} = {}").format(self.of_node.bare(n), self._first(n, keys)) for n in columns),
            keeper_key=comma(of("~a", name) for name in keys.values()),
            archive=ident(self.schema, self.archive.name),
            same_key=self.same_key(self.of_node.name, keys, "~s"),
            same_before=self.same_key(ident("~before"), keys, "~s"),
            lacking=some(self._lacking(n, keys) for n in columns),
            journaled=comma(
                [
                    *(self.of_node.column(n) for n in self.node.table.primary_key),
                    *(of("~before", self.of_node.bare(n)) for n in numbers),
                    *(self.of_node.column(n) for n in numbers),
                    *(_NOWHERE for _ in self.journal.moving),
                ]
            ),
            journal=ident(self.schema, self.journal.name),
            columns=comma(self._journal_columns(numbers, self.journal.moving)),
        )

    def has_none(self) -> sql.Composed:
        """Nothing was merged into this row so far."""
        assert self.archive is not None
        keys = {n: into(n) for n in self.node.table.primary_key}
        return template('NOT EXISTS (SELECT FROM {} AS "~a" WHERE {})').format(
            ident(self.schema, self.archive.name), self.same_key(self.of_node.name, keys, "~a")
        )

    def _candidates(self, number: int, keys: Mapping[int, sql.Identifier]) -> sql.Composed:
        own = ident(self.node.table.by_number[number].name)
        return template('FROM {} AS "~v" WHERE "~v"."~op" = %(op)s AND {} AND "~v".{} IS NOT NULL').format(
            ident(self.schema, self.archive.name if self.archive else ""),
            self.same_key(self.of_node.name, keys, "~v"),
            own,
        )

    def _first(self, number: int, keys: Mapping[int, sql.Identifier]) -> sql.Composed:
        """The survivor's own value, else the best ranked duplicate's."""
        own = self.of_node.bare(number)
        return template(
            'CASE WHEN {} IS NOT NULL THEN {} ELSE (SELECT "~v".{} {} ORDER BY "~v"."~unit" LIMIT 1) END'
        ).format(self.of_node.column(number), self.of_node.column(number), own, self._candidates(number, keys))

    def _lacking(self, number: int, keys: Mapping[int, sql.Identifier]) -> sql.Composed:
        return template("({} IS NULL AND EXISTS (SELECT {}))").format(
            self.of_node.column(number), self._candidates(number, keys)
        )
