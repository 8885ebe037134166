"""What lies about a run and is no reason to refuse: limits of the role, and who may read Alembic's table."""

from collections.abc import Iterator
from typing import Any

from psycopg import Connection

from ..compose import ident, plain
from ..query import scalar, scalars
from ..sql import load

_SQL = load("preview")


def surroundings(connection: Connection[Any], schema: str) -> Iterator[str]:
    """A line for each, with what to do about it."""
    readers = scalars(connection, _SQL["version_readers"].format(), {"schema": schema})
    limit = scalar(connection, _SQL["statement_timeout"].format(), {})
    if readers:
        table, roles = plain(ident(schema, "alembic_version")), ", ".join(plain(ident(role)) for role in readers)
        yield (
            f"{', '.join(readers)} can read {schema}.alembic_version, which holds one word, through the API: "
            f"REVOKE ALL ON {table} FROM {roles} once it is there"
        )
    if limit:
        yield f"statement_timeout is {limit} for this role; a run puts it aside for its own session"
