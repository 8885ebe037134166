"""Looks at the rows before the first change: what would collide, what is blank, what only the data can tell. Reads only."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.rows import scalar_row

from .catalog.facts import Column, Table
from .compose import comma, fragment, ident, template
from .doubts import Doubts, ask, untaken
from .errors import Reason, Refused
from .expressions import failing_conditions, order_fails
from .merge.passes import Found
from .merge.problems import reasons_of, rows
from .merge.resolve import Resolver, Tally
from .merge.root import RootStatements, blank, is_text
from .merge.statements import SQL
from .merge.tree import Node
from .plan import Plan
from .session import OWN_PATH
from .sql import load
from .suspects import Suspect, reason_for, singular, unreadable
from .violations import violations

_SQL = load("survey")


def blank_phones(table: Table, phone: Column, rows: str) -> Reason:
    """Why blank phones refuse the run, in ``rows`` such as ``2 rows``."""
    return Reason(
        problem=f'"{phone.name}" is blank in {rows} of "{table.label}": blanks are no duplicates of each '
        "other, and the constraint would allow one a workspace",
        way_on="set blank_phones = null to turn them into NULL and to go on doing so, or clean them by hand",
        code="blank_phones",
    )


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
        return [*self._blanks(), *self._unhashable(), *self._suspects()]

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

    def blanks(self) -> int:
        """How many rows have a phone of white space alone; 0 where the phone is no text."""
        table, phone = self.root.table, self.root.table.by_number[self.plan.key[-1]]
        if not is_text(phone):
            return 0
        return self._count(_SQL["blanks"].format(table=ident(table.schema, table.name), blank=blank(ident(phone.name))))

    def _blanks(self) -> Iterator[Reason]:
        table = self.root.table
        phone = table.by_number[self.plan.key[-1]]
        if not is_text(phone):
            return
        if self.plan.settings.blank_phones == "null" and not phone.not_null:
            yield from self._unblanked(table, phone)
            return
        count = self.blanks()
        if not count:
            return
        if self.plan.settings.blank_phones == "null":
            yield Reason(
                problem=f'"{phone.name}" is blank in {rows(count)} of "{table.label}" and cannot become NULL: '
                "it is NOT NULL",
                way_on=f'ALTER TABLE "{table.schema}"."{table.name}" ALTER COLUMN "{phone.name}" DROP NOT NULL',
                code="blank_not_null",
            )
        else:
            yield blank_phones(table, phone, rows(count))

    def _unblanked(self, table: Table, phone: Column) -> Iterator[Reason]:
        """CHECKs that do not take a row without its blank phone, and what would not come back as it was."""
        columns = [
            template("NULL::{} AS {}").format(fragment(c.type), ident(c.name)) if c == phone else ident(c.name)
            for c in table.stored
        ]
        parts = {"table": ident(table.schema, table.name), "name": ident(table.name), "blank": blank(ident(phone.name))}
        for check in table.checks:
            kept = template("({})").format(fragment(check.expression))
            found = ask(self.connection, _SQL["unblanked"].format(**parts, columns=comma(columns), kept=kept))
            if found and not isinstance(found, str):
                yield Reason(
                    problem=f'without its blank "{phone.name}", {rows(found)} of "{table.label}" would violate '
                    f'"{check.name}"',
                    way_on=f'clean these blanks by hand, or drop "{check.name}"',
                    code="blank_check",
                )
        for rule in table.computed:
            kept = template("({})").format(fragment(rule.expression))
            found = ask(self.connection, _SQL["unblanked"].format(**parts, columns=sql.SQL("*"), kept=kept))
            if found and not isinstance(found, str):
                yield untaken(self.root.node, rule, rows(found))

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
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return bool(cursor.execute(statement, {"names": names}).fetchone())

    def _count(self, statement: sql.Composed) -> int:
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return int(cursor.execute(statement, {}).fetchone() or 0)
