"""What stands against rows whose phone is blank, or against their losing it. Reads only."""

from collections.abc import Iterator
from typing import Any

from psycopg import Connection, sql

from .catalog.facts import Check, Column, Computed, Table
from .compose import Fragment, comma, fragment, ident, template
from .doubts import ask, untaken
from .errors import Reason
from .merge.problems import rows
from .merge.root import blank, is_text
from .merge.tree import Node
from .plan import Plan
from .query import scalar
from .sql import load

_SQL = load("survey")


def blank_phones(table: Table, phone: Column, rows: str) -> Reason:
    """Why blank phones refuse the run, in ``rows`` such as ``2 rows``."""
    return Reason(
        problem=f'"{phone.name}" is blank in {rows} of "{table.label}": blanks are no duplicates of each '
        "other, and the constraint would allow one a workspace",
        way_on="set blank_phones = null to turn them into NULL and to go on doing so, or clean them by hand",
        code="blank_phones",
    )


def blank_check(table: Table, phone: Column, check: Check, rows: str) -> Reason:
    """Why a CHECK refuses the run that does not take rows without their blank phone."""
    return Reason(
        problem=f'without its blank "{phone.name}", {rows} of "{table.label}" would violate "{check.name}"',
        way_on=f'clean these blanks by hand, or drop "{check.name}"',
        code="blank_check",
    )


def blank_not_null(table: Table, phone: Column, rows: str) -> Reason:
    """Why blanks refuse the run that should become NULL and cannot."""
    return Reason(
        problem=f'"{phone.name}" is blank in {rows} of "{table.label}" and cannot become NULL: it is NOT NULL',
        way_on=f'ALTER TABLE "{table.schema}"."{table.name}" ALTER COLUMN "{phone.name}" DROP NOT NULL',
        code="blank_not_null",
    )


class BlankRows:
    """The rows of one plan's table whose phone is white space alone; there are none where the phone is no text."""

    def __init__(self, connection: Connection[Any], plan: Plan, node: Node) -> None:
        self.connection, self.node, self.table = connection, node, node.table
        self.phone = self.table.by_number[plan.key[-1]]
        self.emptied = plan.settings.blank_phones == "null"

    def count(self) -> int:
        """How many there are."""
        return int(scalar(self.connection, _SQL["blanks"].format(**self._parts), {})) if is_text(self.phone) else 0

    def reasons(self) -> Iterator[Reason]:
        """Every reason to refuse that they give."""
        if not is_text(self.phone):
            return
        if self.emptied and not self.phone.not_null:
            yield from (*self._unchecked(), *self._untaken())
        elif count := self.count():
            why = blank_not_null if self.emptied else blank_phones
            yield why(self.table, self.phone, rows(count))

    @property
    def _parts(self) -> dict[str, Fragment]:
        table, phone = self.table, ident(self.phone.name)
        return {"table": ident(table.schema, table.name), "name": ident(table.name), "blank": blank(phone)}

    def _unchecked(self) -> Iterator[Reason]:
        """CHECKs that do not take a row without its blank phone."""
        emptied = template("NULL::{} AS {}").format(fragment(self.phone.type), ident(self.phone.name))
        columns = comma(emptied if column == self.phone else ident(column.name) for column in self.table.stored)
        for check in self.table.checks:
            if found := self._breaking(check, columns):
                yield blank_check(self.table, self.phone, check, rows(found))

    def _untaken(self) -> Iterator[Reason]:
        """What would not come back as it was."""
        for rule in self.table.computed:
            if found := self._breaking(rule, sql.SQL("*")):
                yield untaken(self.node, rule, rows(found))

    def _breaking(self, rule: Check | Computed, columns: Fragment) -> int:
        """How many break a rule; 0, too, where it cannot be computed for them as they are."""
        kept = template("({})").format(fragment(rule.expression))
        found = ask(self.connection, _SQL["unblanked"].format(**self._parts, columns=columns, kept=kept))
        return 0 if isinstance(found, str) else int(found or 0)
