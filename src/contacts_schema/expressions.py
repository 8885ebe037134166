"""Asks the server whether the user's own SQL can be planned, before anything depends on it."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import Connection, sql

from .catalog.facts import Table
from .compose import Fragment, fragment, ident
from .errors import Reason, shown
from .plan import Plan
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
                yield from _fault(connection, "plan_condition", f"references, {edge.name}", node.table, edge.condition)


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
    parts: dict[str, Fragment] = {"table": ident(table.schema, table.name), "name": ident(table.name)}
    composed: sql.Composed = _SQL[statement].format(**parts, text=fragment(text))
    try:
        with connection.transaction():
            connection.execute(composed, {})
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        yield Reason(
            problem=f"the server does not accept the SQL of {setting}: {shown(error.diag.message_primary or '')} "
            f"(SQLSTATE {error.sqlstate})",
            way_on="correct it; names need double quotes where they are not lower case",
            code="bad_sql",
        )
