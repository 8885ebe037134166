"""Whether Alembic's version table has a place: in the schema of the contacts table, and nowhere else."""

import difflib
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from contacts_schema.errors import Reason, Refused

_SCHEMAS: Final = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"
_RIGHTS: Final = """
SELECT current_user AS role, c.oid IS NOT NULL AS there,
       has_schema_privilege(n.oid, 'USAGE') AS usage, has_schema_privilege(n.oid, 'CREATE') AS create,
       has_table_privilege(c.oid, 'SELECT') AS select, has_table_privilege(c.oid, 'INSERT') AS insert,
       has_table_privilege(c.oid, 'UPDATE') AS update, has_table_privilege(c.oid, 'DELETE') AS delete
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'alembic_version'
WHERE n.nspname = :schema
"""


def require_place(connection: Connection, schema: str) -> None:
    """Raise Refused unless the version table can be written to, or can be made."""
    schemas = list(connection.execute(text(_SCHEMAS)).scalars())
    if schema not in schemas:
        near = difflib.get_close_matches(schema, schemas, n=1)
        way_on = f'did you mean "{near[0]}"? ' if near else ""
        fact = f'schema "{schema}" does not exist'
        raise Refused([_reason(fact, f"{way_on}set schema to the one of your table", "no_schema")])
    _require(connection, schema, writing=True)


def require_reading(connection: Connection, schema: str) -> None:
    """Raise Refused unless the version table can be read, where there is one."""
    _require(connection, schema, writing=False)


def _require(connection: Connection, schema: str, *, writing: bool) -> None:
    for row in connection.execute(text(_RIGHTS), {"schema": schema}):
        reasons = list(_of_table(row, schema, writing=writing) if row.there else _of_schema(row, schema, writing=writing))
        if reasons:
            raise Refused(reasons)


def _of_schema(row: Row[Any], schema: str, *, writing: bool) -> Iterator[Reason]:
    if writing and not (row.usage and row.create):
        fact = f'role "{row.role}" may not create the table "alembic_version" in schema "{schema}"'
        yield _reason(fact, f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{row.role}"', "missing_right")


def _of_table(row: Row[Any], schema: str, *, writing: bool) -> Iterator[Reason]:
    wanted = ("select", "insert", "update", "delete") if writing else ("select",)
    missing = ", ".join(right.upper() for right in wanted if not getattr(row, right))
    if missing:
        fact = f'role "{row.role}" lacks {missing} on "{schema}.alembic_version"'
        yield _reason(fact, f'GRANT {missing} ON "{schema}"."alembic_version" TO "{row.role}"', "missing_right")
    if not row.usage:
        fact = f'role "{row.role}" lacks USAGE ON SCHEMA "{schema}", which holds "{schema}.alembic_version"'
        yield _reason(fact, f'GRANT USAGE ON SCHEMA "{schema}" TO "{row.role}"', "missing_right")


def _reason(problem: str, way_on: str, code: str) -> Reason:
    return Reason(problem=problem, way_on=way_on, code=code)
