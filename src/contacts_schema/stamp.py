"""Alembic's version table, as far as our own two revisions are in it."""

from typing import Any, Final

from psycopg import Connection, sql

from .compose import ident

REVISIONS: Final = ("dedupe_contacts", "unique_phone_workspace")

_TABLE: Final = """
SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = 'alembic_version' AND c.relkind = 'r'
"""


def stamped(connection: Connection[Any], schema: str) -> bool:
    """Whether the version table beside the contacts says that a revision of ours is done."""
    if not _is_there(connection, schema):
        return False
    statement = sql.SQL("SELECT 1 FROM {}.alembic_version WHERE version_num = ANY (%s)").format(ident(schema))
    return connection.execute(statement, [list(REVISIONS)]).fetchone() is not None


def unstamp(connection: Connection[Any], schema: str) -> bool:
    """Remove our revisions from it; say whether there were any.

    A project that uses the directives in revisions of its own has other names, which nobody here knows.
    """
    if not _is_there(connection, schema):
        return False
    statement = sql.SQL("DELETE FROM {}.alembic_version WHERE version_num = ANY (%s)").format(ident(schema))
    return bool(connection.execute(statement, [list(REVISIONS)]).rowcount)


def _is_there(connection: Connection[Any], schema: str) -> bool:
    return connection.execute(_TABLE, [schema]).fetchone() is not None
