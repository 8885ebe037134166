"""Databases on a throwaway server: fresh ones, filled templates, and clones of those."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import make_url

__all__ = ["EMPTY", "database", "filled_template", "name_of"]

EMPTY: Final = "template0"


@contextmanager
def database(url: str, *, template: str = EMPTY) -> Iterator[str]:
    """Clone the database named `template` on the server at `url`, give the clone's URL, drop it after."""
    name = f"clone_{secrets.token_hex(6)}"
    # A copy of files takes 45 ms whatever the template holds; the default copies it through the log.
    create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    _run(url, create.format(Identifier(name), Identifier(template)))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(url, SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def filled_template(url: str, fill: Callable[[str], object], *, template: str = EMPTY) -> Iterator[str]:
    """Make a database, let `fill` load it by its URL, close it to connections, give its name to be cloned."""
    with database(url, template=template) as filled:
        fill(filled)
        name = name_of(filled)
        # An open connection, an autovacuum worker's too, would make CREATE DATABASE fail or wait.
        _run(url, SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(Identifier(name)))
        yield name


def name_of(url: str) -> str:
    """The name of the database that `url` leads to."""
    return make_url(url).database or ""


def _run(url: str, statement: Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
