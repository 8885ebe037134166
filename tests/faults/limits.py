"""Limits that a role has in a database, and a way in that is free of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sandbox.server_databases import name_of

FREE: Final = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_isolation": r"read\ committed",
}


@contextmanager
def limited(url: str, limits: tuple[str, str] | None) -> Iterator[str]:
    """Set a setting of the role for the length of the block, where the server knows it; gives a way round it."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = {name for (name,) in connection.execute("SELECT name FROM pg_settings WHERE name = ANY (%s)", [list(FREE)])}
        if limits and limits[0] in known:
            _alter(connection, url, sql.SQL("SET {} = {}").format(sql.Identifier(limits[0]), sql.Literal(limits[1])))
    options = " ".join(f"-c {name}={value}" for name, value in FREE.items() if name in known)
    free = make_conninfo(url, options=options)
    yield free
    with psycopg.connect(free, autocommit=True) as connection:
        _alter(connection, url, sql.SQL("RESET ALL"))


def _alter(connection: psycopg.Connection[Any], url: str, change: sql.Composable) -> None:
    connection.execute(sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} {}").format(sql.Identifier(name_of(url)), change))
