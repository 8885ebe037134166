"""Whether Alembic's version table has a place: in the schema of the contacts table, and nowhere else."""

import difflib
from typing import Final

from sqlalchemy import Connection, text

from contacts_schema.errors import Reason, Refused

_SCHEMAS: Final = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"
_MAY_CREATE: Final = """
SELECT to_regclass(format('%I.alembic_version', CAST(:schema AS text))) IS NOT NULL
    OR has_schema_privilege(CAST(:schema AS text), 'CREATE'), quote_ident(current_user), quote_ident(:schema)
"""


def require_place(connection: Connection, schema: str) -> None:
    """Raise Refused unless the version table is there or can be made."""
    schemas = list(connection.execute(text(_SCHEMAS)).scalars())
    if schema not in schemas:
        near = difflib.get_close_matches(schema, schemas, n=1)
        way_on = f'did you mean "{near[0]}"? ' if near else ""
        raise _refused(f'schema "{schema}" does not exist', f"{way_on}set schema to the one of your table", "no_schema")
    may, role, quoted = connection.execute(text(_MAY_CREATE), {"schema": schema}).one()
    if not may:
        fact = f'role {role} may not create the table "alembic_version" in schema "{schema}"'
        raise _refused(fact, f"GRANT USAGE, CREATE ON SCHEMA {quoted} TO {role};", "missing_right")


def _refused(problem: str, way_on: str, code: str) -> Refused:
    return Refused([Reason(problem=problem, way_on=way_on, code=code)])
