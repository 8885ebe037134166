"""Looks at the rows before the first change: what would collide, what only the data can tell. Reads only."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import Connection, sql

from .blank_rows import BlankRows
from .compose import ident
from .doubts import Doubts
from .errors import Reason, Refused
from .expressions import failing_conditions, order_fails
from .merge.passes import Found
from .merge.problems import reasons_of
from .merge.resolve import Resolver, Tally
from .merge.root import RootStatements
from .merge.statements import SQL
from .merge.tree import Node
from .plan import Plan
from .query import scalar
from .session import OWN_PATH
from .sql import load
from .suspects import Suspect, reason_for, singular, unreadable
from .violations import violations

_SQL = load("survey")


_TOO_LARGE = ("22001", "22003", "22P02")


def _misfit(node: Node, sqlstate: str | None) -> Reason:
    return Reason(
        problem=f'a reference of "{node.table.label}" could not hold the key of a survivor (SQLSTATE {sqlstate})',
        way_on="give its column the type of the key, or choose other survivors by survivor_order",
        code="misfit",
    )


class Survey:
    """One look at the data of one plan; ``resolver`` works out all groups at once and takes no lock."""

    def __init__(self, connection: Connection[Any], plan: Plan, resolver: Resolver, root: RootStatements) -> None:
        self.connection, self.plan, self.resolver, self.root = connection, plan, resolver, root
        self.doubts = Doubts(connection, resolver, fills=bool(plan.fill))
        self.blanks = BlankRows(connection, plan, root.node)
        self.tallies: Sequence[Tally] = ()

    def reasons(self, found: Found, *, always: bool = False) -> list[Reason]:
        """Every reason to refuse that the rows give. Leaves the work list filled and everything else as it was.

        ``always`` works out all groups, for ``tallies``, even where no problem can come of it.
        """
        failing = [*failing_conditions(self.connection, self.plan)] if found.slices else []
        merging = self._merging() if found.slices and not failing and (always or self._worth_looking()) else ()
        indexes = self.doubts.of_indexes(self.plan.settings.constraint) if found.slices else ()
        return [*self.of_the_table(), *failing, *merging, *indexes]

    def of_the_table(self) -> list[Reason]:
        """Those that need no look at the tables that hang on it, nor any of the session's own."""
        return [*self.blanks.reasons(), *self._unhashable(), *self._suspects()]

    def _worth_looking(self) -> bool:
        """Only some trees can hold a problem: most children just change a column."""
        tree = self.resolver.tree
        # The user's order may fail on a row's value, and would then do so in the middle of the merge.
        return (
            self.plan.settings.survivor_order is not None
            or bool(tree.cycles)
            or any(self._may_fail(node) for node in tree.nodes)
            or self.doubts.any()
        )

    @staticmethod
    def _may_fail(node: Node) -> bool:
        changed = set(node.changed)
        checked = any(changed & set(check.columns) for check in node.table.checks)
        placed = bool({0, *changed} & set(node.table.partitioned_by))
        keys = {pair.parent for edge in (*node.outgoing, *node.own) for pair in edge.pairs} - set(node.table.primary_key)
        shared = len(node.incoming) > 1 or (node.is_root and bool(keys))
        held = node.uniques or node.own or node.exclusions or node.needs or node.narrow
        return bool(held) or checked or placed or shared

    def _merging(self) -> list[Reason]:
        with self.connection.transaction():
            # One snapshot for all statements: without locks the rows would change from one to the next.
            self.connection.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {OWN_PATH}")
            self._rank()
            self.connection.execute(SQL["analyze"].format(rows=self.resolver.statements[0].rows), {})
            self.tallies = self._resolve()
            reasons = reasons_of(self.tallies, self.plan.decided)
            for tally in self.tallies:
                collisions = self.resolver.collisions(tally.node)
                reasons += violations(collisions, self._count) if tally.moved else ()
            return [*reasons, *self.doubts.reasons()]

    def _resolve(self) -> Sequence[Tally]:
        """Work out all groups. Raises Refused where a survivor's key does not fit a reference."""
        try:
            return self.resolver.resolve(lock=False)
        except psycopg.DataError as error:
            if not (self.resolver.at_work.narrow and error.sqlstate in _TOO_LARGE):
                raise
            raise Refused([_misfit(self.resolver.at_work, error.sqlstate)]) from None

    def _rank(self) -> None:
        """Take every duplicate by the order of survivors. Raises Refused where a row's value makes the order fail."""
        # A group's further slices would give all of its duplicates again.
        groups = self._count(self.root.count_groups())
        try:
            self.connection.execute(self.root.take_all_duplicates(), {"after": 0, "end": groups, "cap": 0})
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            raise Refused([order_fails(error.sqlstate)]) from None

    def _unhashable(self) -> Iterator[Reason]:
        table = self.root.table
        for column in (table.by_number[number] for number in self.plan.key):
            parts = {"columns": ident(column.name), "table": ident(table.schema, table.name)}
            try:
                with self.connection.transaction():
                    self.connection.execute(_SQL["hashable"].format(**parts), {})
            except psycopg.errors.UndefinedFunction:
                yield Reason(
                    problem=f'column "{column.name}" of "{table.label}" has the type {column.type}, which cannot be hashed',
                    way_on="change its type",
                    code="not_hashable",
                )

    def _suspects(self) -> Iterator[Reason]:
        tables = {node.table.oid: node.table for node in self.resolver.tree.nodes}
        role = self.plan.facts.role.name
        for suspect in self.plan.suspects:
            try:
                if not suspect.polymorphic or self._names_table(suspect):
                    yield reason_for(suspect, tables, self.root.table)
            except psycopg.errors.InsufficientPrivilege:
                yield unreadable(suspect, tables, self.root.table, role)

    def _names_table(self, suspect: Suspect) -> bool:
        """A polymorphic pair is suspect where its type column really names the table in some row."""
        column = suspect.column
        names = sorted(singular(self.resolver.parents[suspect.parent].table.name))
        statement = _SQL["polymorphic"].format(
            table=ident(column.schema, column.name), column=ident(column.type_column or "")
        )
        return bool(scalar(self.connection, statement, {"names": names}))

    def _count(self, statement: sql.Composed) -> int:
        return int(scalar(self.connection, statement, {}) or 0)
