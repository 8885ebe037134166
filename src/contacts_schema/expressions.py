"""Asks the server whether the user's own SQL can be planned, before anything depends on it."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import Connection, sql

from .catalog.facts import Table
from .compose import Fragment, fragment, ident
from .errors import Reason, shown
from .plan import Plan
from .retry import is_locked
from .sql import load

_SQL = load("survey")


def faulty_expressions(connection: Connection[Any], plan: Plan) -> Iterator[Reason]:
    """Give a reason for each piece of the settings' SQL that the server does not accept. Reads no row."""
    assert plan.target is not None
    assert plan.tree is not None
    if plan.survivor_order:
        yield from _fault(connection, "plan_order", "survivor_order", plan.target, plan.survivor_order)
    for node in plan.tree.nodes:
        for edge in (*node.incoming, *node.own):
            if edge.condition:
                yield from _fault(connection, "plan_condition", f'references, "{edge.name}"', node.table, edge.condition)


def failing_conditions(connection: Connection[Any], plan: Plan) -> Iterator[Reason]:
    """Give a reason for each condition that fails on some row. Reads the tables: our triggers will ask it of every write."""
    assert plan.tree is not None
    for node in plan.tree.nodes:
        for edge in (*node.incoming, *node.own):
            if edge.condition:
                yield from _failing(connection, edge.name, node.table, edge.condition)


def _failing(connection: Connection[Any], reference: str, table: Table, condition: str) -> Iterator[Reason]:
    try:
        with connection.transaction():
            connection.execute(_composed("ask_condition", table, condition), {})
    except (psycopg.DataError, psycopg.ProgrammingError) as error:
        yield Reason(
            problem=f'the condition of the reference "{reference}" fails on a value of some row (SQLSTATE {error.sqlstate})',
            way_on="write it so that it can be computed for every row",
            code="bad_sql",
        )


def order_fails(sqlstate: str | None) -> Reason:
    """The order of survivors can be planned, and fails on some row."""
    return Reason(
        problem=f"survivor_order fails on a value of some row (SQLSTATE {sqlstate})",
        way_on="write it so that it can be computed for every row",
        code="bad_sql",
    )


def unfillable(plan: Plan) -> Iterator[Reason]:
    """Columns that ``fill`` names and that cannot be filled."""
    table = plan.target
    for number in plan.fill if table else ():
        assert table is not None
        column = table.by_number[number]
        if number in {*plan.key, *table.primary_key} or column.generated or column.identity:
            yield Reason(
                problem=f'fill names the column "{column.name}" of "{table.label}", which is part of a key, '
                "an identity or generated",
                way_on="take it out of fill",
                code="bad_fill",
            )


def unblankable(plan: Plan) -> Iterator[Reason]:
    """A generated phone cannot be turned into NULL."""
    phone = plan.target.by_number[plan.key[-1]] if plan.target else None
    if plan.settings.blank_phones == "null" and phone is not None and phone.generated:
        yield Reason(
            problem=f'blank_phones = null would set the generated column "{phone.name}"',
            way_on="set blank_phones = refuse, and have the column's expression give NULL for blanks",
            code="blank_generated",
        )


def _fault(connection: Connection[Any], statement: str, setting: str, table: Table, text: str) -> Iterator[Reason]:
    try:
        with connection.transaction():
            connection.execute(_composed(statement, table, text), {})
    except psycopg.Error as error:
        # A lock, a lost connection, a server that has run out of something: nothing is said about the text.
        if is_locked(error) or error.sqlstate is None or error.sqlstate[:2] in ("53", "57", "58"):
            raise
        # What the server says of a value quotes it.
        said = "" if error.sqlstate.startswith("22") else f": {shown(error.diag.message_primary or '')}"
        yield Reason(
            problem=f"the server does not accept the SQL of {setting}{said} (SQLSTATE {error.sqlstate})",
            way_on="correct it; names need double quotes where they are not lower case",
            code="bad_sql",
        )


def _composed(statement: str, table: Table, text: str) -> sql.Composed:
    parts: dict[str, Fragment] = {"table": ident(table.schema, table.name), "name": ident(table.name)}
    return _SQL[statement].format(**parts, text=fragment(text))
