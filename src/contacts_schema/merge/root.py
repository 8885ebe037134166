"""The statements that find duplicate groups, pick a batch of them, and lock it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..catalog.facts import Column, Table
from ..compose import TRUE, Fragment, comma, every, fragment, ident, template
from .statements import SQL, NodeStatements
from .tree import Node

# The bytes are compared first: this runs for every row of the table. White space, and so what is empty, sorts below "!".
_BLANK = sql.SQL(r"""({}::text COLLATE pg_catalog."C" < '!' AND pg_catalog.btrim({}::text, E' \t\n\x0b\f\r') = '')""")


def is_text(column: Column) -> bool:
    """A string type, the only kind of value that can be blank."""
    return column.category == "S"


def blank(value: Fragment) -> sql.Composed:
    """Empty or white space only. Not by a regular expression: some collations know none."""
    return _BLANK.format(value, value)


@dataclass(frozen=True, kw_only=True)
class RootStatements:
    """The duplicates of ``node``'s table by ``key``, the phone last; ``survivor_order`` is the user's SQL or the default."""

    node: Node
    key: tuple[int, ...]
    survivor_order: str

    @cached_property
    def of_node(self) -> NodeStatements:
        return NodeStatements(node=self.node, parents={self.node.table.oid: self.node})

    @property
    def table(self) -> Table:
        return self.node.table

    def create(self) -> list[sql.Composed]:
        """Temporary tables of the root alone; those of every node are created by the node."""
        keys = [template(", {} AS {}").format(self._bare(n), ident(f"~k{n}")) for n in self.key]
        return [
            SQL["create_sequence"].format(),
            SQL["create_work"].format(table=self.of_node.table, keys=sql.Composed(keys)),
            SQL["index_work"].format(),
        ]

    def _has_key(self) -> Fragment:
        return every(template("{} IS NOT NULL").format(self._bare(n)) for n in self.key)

    def _eligible(self) -> Fragment:
        """A blank phone is no phone. Asked of groups, not of rows: there are fewer."""
        phone = self.table.by_number[self.key[-1]]
        if not is_text(phone):
            return TRUE
        return template("NOT {}").format(blank(self._bare(phone.number)))

    def find_groups(self) -> sql.Composed:
        """Every group of the table; takes ``cap``."""
        groups = SQL["all_groups"].format(table=self.of_node.table, keys=self._keys(), has_key=self._has_key())
        return self._find(groups)

    def find_recent_groups(self) -> sql.Composed:
        """Groups in which something was written at or after the transaction ``since``; takes ``cap`` too."""
        groups = SQL["recent_groups"].format(
            table=self.of_node.table,
            name=self.of_node.name,
            table_keys=comma(self.of_node.column(n) for n in self.key),
            aliased_keys=comma(template("{} AS {}").format(self._bare(n), ident(f"~k{n}")) for n in self.key),
            joined=self._same_group(),
            has_key=self._has_key(),
        )
        return self._find(groups)

    def _find(self, groups: Fragment) -> sql.Composed:
        return SQL["find_groups"].format(
            groups=groups,
            keys=self._keys(),
            key_names=sql.Composed([template(", {}").format(self._bare(n)) for n in self.key]),
            eligible=self._eligible(),
        )

    def _keys(self) -> Fragment:
        return comma(self._bare(n) for n in self.key)

    def _same_group(self) -> Fragment:
        return every(
            template('"~work".{} {} {}').format(
                ident(f"~k{n}"), fragment(self.table.by_number[n].equality or "="), self.of_node.column(n)
            )
            for n in self.key
        )

    def count_groups(self) -> sql.Composed:
        """How many groups the work list has, large ones counted once."""
        return SQL["count_groups"].format(keys=comma(ident(f"~k{n}") for n in self.key))

    def gather_work(self) -> sql.Composed:
        """Put the groups of some stretches behind all others, each once; takes their lists ``after`` and ``end``."""
        return SQL["gather_work"].format(keys=comma(ident(f"~k{n}") for n in self.key))

    def take_duplicates(self, *, first: Fragment | None = None) -> sql.Composed:
        """Lock a batch's groups and take their duplicates as the root's rows; takes ``after``, ``end`` and ``cap``.

        Rows of which ``first`` is false come before the survivor order.
        """
        return SQL["take_duplicates"].format(
            rows=self.of_node.rows,
            table=self.of_node.table,
            table_name=self.of_node.name,
            ranked=self._ranked([first] if first else []),
            primary_key=comma(self.of_node.column(n) for n in self.table.primary_key),
            values=self._values(),
        )

    def take_all_duplicates(self) -> sql.Composed:
        return SQL["take_all_duplicates"].format(rows=self.of_node.rows, ranked=self._ranked(), values=self._values())

    def _bare(self, number: int) -> sql.Identifier:
        return self.of_node.bare(number)

    def _values(self) -> sql.Composed:
        return sql.Composed(
            [template(', "~ranked".{}, "~ranked".{}').format(self._bare(n), _survivors(n)) for n in self.node.kept]
        )

    def _ranked(self, first: Sequence[Fragment] = ()) -> sql.Composed:
        """The primary key comes last in the order: no two rows are equal by it."""
        order = [*first, *([fragment(self.survivor_order)] if self.survivor_order else [])]
        survivors = [
            template("first_value({}) OVER w AS {}").format(self.of_node.column(n), _survivors(n)) for n in self.node.kept
        ]
        return SQL["ranked"].format(
            columns=comma(self.of_node.column(n) for n in self.node.kept),
            survivors=comma(survivors),
            table=self.of_node.table,
            table_name=self.of_node.name,
            survivor_order=comma([*order, *(self.of_node.column(n) for n in self.table.primary_key)]),
            joined=self._same_group(),
        )


def _survivors(number: int) -> sql.Identifier:
    """The survivor's value of a column, beside each of its duplicates."""
    return ident(f"~s{number}")
