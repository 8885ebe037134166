"""Lets go of Alembic's transaction for the length of a run, and opens a connection of our own beside it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import psycopg
from alembic.runtime.migration import MigrationContext
from psycopg.pq import Conninfo
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from contacts_schema.errors import ConnectionFailed, TransactionOpen
from contacts_schema.session import refuse_pooler

_DEFAULTS: Final = {"fallback_application_name": "contacts_schema", "connect_timeout": "15", "client_encoding": "utf8"}
# The run may last longer than a server lets a session be idle. The setting is there from PostgreSQL 14 on.
_STAY: Final = """
SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'
"""
_SESSION: Final = "SELECT current_setting('search_path'), current_setting('role')"
_RESUME: Final = "SELECT set_config('search_path', :search_path, false), set_config('role', :role, false)"
_OWN: Final = "SELECT set_config('application_name', 'contacts_schema', false), set_config('role', %s, false)"


@dataclass(frozen=True, kw_only=True)
class Session:
    """What the caller had set on Alembic's connection and another connection needs to stand in for it."""

    search_path: str
    role: str


@contextmanager
def left_alone(context: MigrationContext) -> Iterator[Session]:
    """Commit what Alembic has done and hold no transaction on its connection until the end of the block.

    If that connection is lost meanwhile, a new one takes its place, so that the version is stamped.

    Raises TransactionOpen where the transaction is not Alembic's own.
    """
    session = _committed(context)
    yield session
    _resume(context, session)


def _committed(context: MigrationContext) -> Session:
    with ExitStack() as stack:
        try:
            stack.enter_context(context.autocommit_block())
        except (AssertionError, AttributeError):
            # A bare assertion of Alembic's, and what follows it under `python -O`.
            raise TransactionOpen from None
        connection = _bind(context)
        connection.execute(text(_STAY))
        search_path, role = connection.execute(text(_SESSION)).one()
        return Session(search_path=search_path, role=role)
    # At the block's end SQLAlchemy begins anew, of which the server hears with the next statement only.


def _resume(context: MigrationContext, session: Session) -> None:
    connection = _bind(context)
    try:
        connection.execute(text("SELECT 1"))
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        if transaction := connection.get_transaction():
            transaction.rollback()
        # Alembic commits this one after the stamp, and has no public way to be given another.
        context._transaction = connection.begin()  # noqa: SLF001 - see above
        connection.execute(text(_RESUME), {"search_path": session.search_path, "role": session.role})


def _bind(context: MigrationContext) -> Connection:
    # Only None with --sql, which has been refused before.
    return cast(Connection, context.bind)


@contextmanager
def own_connection(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """Open a psycopg connection to the same database, in autocommit; close it at the end.

    Raises ConnectionFailed, and Refused where a transaction pooler is between: nothing is set yet that would leak.
    """
    try:
        connection = _from_engine(engine) if engine.dialect.driver == "psycopg" else _from_url(engine.url)
    except (psycopg.OperationalError, DBAPIError) as error:
        raise connection_failed(error) from None
    try:
        connection.commit()  # A "connect" event of the project's may have left a transaction open.
        connection.autocommit = True
        refuse_pooler(connection)
        yield connection
    finally:
        connection.close()


@contextmanager
def connected(url: URL) -> Iterator[psycopg.Connection[Any]]:
    """Open a psycopg connection in autocommit to where a URL for SQLAlchemy leads. Raises ConnectionFailed."""
    try:
        connection = _from_url(url.update_query_dict(_DEFAULTS | dict(url.query)))
    except psycopg.OperationalError as error:
        raise connection_failed(error) from None
    try:
        connection.autocommit = True
        yield connection
    finally:
        connection.close()


def adopt(connection: psycopg.Connection[Any], session: Session) -> None:
    """Take the role of Alembic's connection."""
    connection.execute(_OWN, (session.role,))
    connection.execute(_STAY)


def _from_engine(engine: Engine) -> psycopg.Connection[Any]:
    # A pool of the same making: the engine's own may be at its limit with Alembic's connection.
    pooled = engine.pool.recreate().connect()
    connection = cast("psycopg.Connection[Any]", pooled.driver_connection)
    pooled.detach()
    return connection


def _from_url(url: URL) -> psycopg.Connection[Any]:
    own = url.set(drivername="postgresql+psycopg")
    _, parameters = own.get_dialect()().create_connect_args(own)
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    return psycopg.connect(**{name: value for name, value in parameters.items() if name in known})


def connection_failed(error: psycopg.Error | DBAPIError) -> ConnectionFailed:
    """Return the error for a connection that failed: libpq's reason in one line, which has no password."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = " ".join(str(cause).split()) or type(cause).__name__
    return ConnectionFailed(f"no connection to the database: {reason}; check DATABASE_URL and the server")
