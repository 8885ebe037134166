"""One value, or one column, of what a statement gives."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from psycopg import Connection, sql
from psycopg.rows import scalar_row

Statement: TypeAlias = str | bytes | sql.Composed
Values: TypeAlias = Sequence[Any] | Mapping[str, Any]


def scalar(connection: Connection[Any], statement: Statement, values: Values = ()) -> Any:
    """The first row's value; None where there is no row."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(statement, values).fetchone()


def scalars(connection: Connection[Any], statement: Statement, values: Values = ()) -> list[Any]:
    """Every row's value."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(statement, values).fetchall()
