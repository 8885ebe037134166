"""Small pieces that statements are composed of: identifiers, lists, catalog text.

Statements are always executed with parameters, if need be none (``{}``), so that the driver reads ``%`` in one way
only: every name, fragment and literal doubles it here.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from psycopg import Connection, sql

Fragment: TypeAlias = sql.Composable

NOTHING = sql.SQL("")
TRUE = sql.SQL("true")


def ident(*names: str) -> sql.Identifier:
    """Quote a name, or a qualified one: ``ident("public", "contacts")``."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def literal(text: str) -> sql.Literal:
    """A string constant."""
    return sql.Literal(text.replace("%", "%%"))


def literals(texts: Iterable[str]) -> sql.Composed:
    """An array of string constants."""
    return sql.SQL("ARRAY[{}]::text[]").format(comma(literal(text) for text in texts))


def oids(numbers: Iterable[int]) -> sql.Composed:
    """Tables, as an array of their oids."""
    return sql.SQL("{}::oid[]").format(sql.Literal(f"{{{','.join(map(str, sorted(numbers)))}}}"))


def plain(statement: Fragment, connection: Connection[Any] | None = None) -> str:
    """The text of a statement as the server would get it, to be stored or compared."""
    return statement.as_string(connection).replace("%%", "%")


def fragment(text: str) -> sql.SQL:
    """SQL text that the catalog or the user's settings wrote; ``%`` is doubled for the driver."""
    return sql.SQL(text.replace("%", "%%"))


def template(text: str) -> sql.SQL:
    """A short template built in code, for :meth:`psycopg.sql.SQL.format`."""
    return sql.SQL(text)


def comma(parts: Iterable[Fragment]) -> sql.Composed:
    """A list with commas."""
    return sql.SQL(", ").join(parts)


def every(parts: Iterable[Fragment]) -> Fragment:
    """All of the conditions; true where there are none."""
    listed = list(parts)
    return sql.SQL(" AND ").join(listed) if listed else TRUE


def some(parts: Iterable[Fragment]) -> Fragment:
    """Any of the conditions, in parentheses; false where there are none."""
    listed = list(parts)
    return sql.SQL("({})").format(sql.SQL(" OR ").join(listed)) if listed else sql.SQL("false")


def differ(left: Iterable[Fragment], right: Iterable[Fragment]) -> sql.Composed:
    """The two rows of values are not the same bit for bit; types need no equality of their own."""
    return sql.SQL("pg_catalog.record_image_ne(ROW({}), ROW({}))").format(comma(left), comma(right))


def identical(left: Iterable[Fragment], right: Iterable[Fragment]) -> sql.Composed:
    """The two rows of values are the same bit for bit."""
    return sql.SQL("pg_catalog.record_image_eq(ROW({}), ROW({}))").format(comma(left), comma(right))
