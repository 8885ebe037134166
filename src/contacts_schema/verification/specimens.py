"""Rows to try a table with: a copy of a real one where there is one, else made up from the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from ..compose import NOTHING, comma, fragment, ident, literal, template
from ..sql import load

_SQL = load("verify")
_DEEPEST = 5

# By the letter of pg_type.typcategory. Text is cut to the column's length by the cast.
_SAMPLES = {"A": "{}", "B": "false", "D": "2000-01-01", "N": "1", "S": "x", "T": "1 day", "I": "192.0.2.1"}
_SAMPLES_BY_TYPE = {"uuid": "00000000-0000-4000-8000-000000000000", "json": "{}", "jsonb": "{}", "bytea": ""}


class NoSpecimen(Exception):
    """No row can be made up for this table."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column that can be written. `parent` is the table that it refers to by a foreign key of its own."""

    name: str
    type: str
    category: str
    not_null: bool
    has_default: bool
    is_unique: bool
    parent: int | None
    parent_column: str | None

    @property
    def sql_type(self) -> sql.SQL:
        """The type, for a cast."""
        return fragment(self.type)


class Specimens:
    """Makes rows in the transaction of ``connection``, which undoes them. Takes no value of a sequence."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection

    def columns(self, table: int) -> list[Column]:
        """The columns of a table that can be written."""
        return [Column(**row) for row in self._rows(_SQL["columns"].format(), {"table": table})]

    def name(self, table: int) -> sql.Identifier:
        """The table's name, for a statement."""
        (row,) = self._rows(_SQL["named"].format(), {"table": table})
        return ident(row["schema"], row["name"])

    def insert(
        self, table: int, given: Mapping[str, str], like: str | None, wanted: str, depth: int = 0, unless: str | None = None
    ) -> str | None:
        """Insert one row and return its column `wanted` as text; None where none was stored.

        `given` are values as text; the rest is that of the row at the place `like`, but for what has to be unique. The
        constraint `unless` rejects it without an error.
        """
        columns = [column for column in self.columns(table) if like is not None or self._needed(column, given)]
        values = [self._value(table, column, given, like, depth) for column in columns]
        statement = _SQL["insert"].format(
            table=self.name(table),
            columns=comma(ident(column.name) for column in columns),
            values=comma(values),
            source=template("FROM {} WHERE ctid = %(like)s::tid").format(self.name(table)) if like else sql.SQL(""),
            unless=template("ON CONFLICT ON CONSTRAINT {} DO NOTHING").format(ident(unless)) if unless else NOTHING,
            returned=template("{}::text AS value").format(ident(wanted)),
        )
        return next((str(row["value"]) for row in self._rows(statement, {"like": like})), None)

    @staticmethod
    def _needed(column: Column, given: Mapping[str, str]) -> bool:
        return column.name in given or (column.not_null and not column.has_default)

    def _value(self, table: int, column: Column, given: Mapping[str, str], like: str | None, depth: int) -> sql.Composable:
        if column.name in given:
            return _cast(given[column.name], column)
        if like is not None and not column.is_unique:
            return ident(column.name)
        if not column.not_null:
            return sql.SQL("NULL")
        if column.parent is not None:
            made = self.parent(column, depth) if column.is_unique else self.reference(column, depth)
            return _cast(made, column)
        return self.fresh(table, column) if column.is_unique else _cast(self.sample(column), column)

    def value(self, table: int, column: Column) -> str:
        """A value that no row has, as text."""
        (row,) = self._rows(template("SELECT {}::text AS value").format(self.fresh(table, column)), {})
        return str(row["value"])

    def fresh(self, table: int, column: Column) -> sql.Composable:
        """An expression for a value that no row has."""
        if column.type == "uuid":
            return sql.SQL("pg_catalog.gen_random_uuid()")
        if column.category == "N":
            # Far from what a sequence gives to a writer meanwhile, who would then wait for us.
            far = 100 if column.type == "smallint" else 1_000_000
            highest = "(SELECT greatest(max({}), 0) + {} FROM {})"
            return template(highest).format(ident(column.name), sql.Literal(far), self.name(table))
        if column.category == "S":
            return template("CAST(pg_catalog.md5(pg_catalog.random()::text) AS {})").format(column.sql_type)
        if column.category == "D":
            return template("CAST(pg_catalog.clock_timestamp() AS {})").format(column.sql_type)
        raise NoSpecimen(f'no new value can be made up for "{column.name}" of type {column.type}')

    def sample(self, column: Column) -> str:
        """Some value of the column's type, as text."""
        sample = _SAMPLES_BY_TYPE.get(column.type, _SAMPLES.get(column.category))
        if sample is not None:
            return sample
        for row in self._rows(_SQL["first_label"].format(), {"type": column.type}):
            return str(row["label"])
        raise NoSpecimen(f'no value can be made up for "{column.name}" of type {column.type}')

    def reference(self, column: Column, depth: int = 0) -> str:
        """What refers to some row of the column's parent, which is made up where there is none."""
        assert column.parent is not None
        assert column.parent_column is not None
        name = ident(column.parent_column)
        some = template("SELECT {}::text AS value FROM {} WHERE {} IS NOT NULL LIMIT 1")
        for row in self._rows(some.format(name, self.name(column.parent), name), {}):
            return str(row["value"])
        return self.parent(column, depth)

    def parent(self, column: Column, depth: int = 0) -> str:
        """Make up a row for the column to refer to, and return what refers to it."""
        assert column.parent is not None
        assert column.parent_column is not None
        if depth >= _DEEPEST:
            raise NoSpecimen(f'"{column.name}" refers to rows that refer to rows, and so on')
        made = self.insert(column.parent, {}, None, column.parent_column, depth + 1)
        if made is None:
            raise NoSpecimen(f'a trigger or a rule swallows new rows that "{column.name}" could refer to')
        return made

    def _rows(self, statement: sql.Composed, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchall()


def _cast(value: str, column: Column) -> sql.Composed:
    return template("CAST({} AS {})").format(literal(value), column.sql_type)
