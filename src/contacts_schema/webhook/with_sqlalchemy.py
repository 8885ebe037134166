"""Sends statements over connections and sessions of SQLAlchemy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.types import NullType

from contacts_schema.webhook.carriers import Maker, waiting

if TYPE_CHECKING:
    from contacts_schema.webhook.statements import Statement
    from contacts_schema.webhook.steps import Rows

__all__ = ["run"]

T = TypeVar("T")
_IDLE: Final = 0  # libpq's, as psycopg and psycopg2 give it
_MARKED: Final = re.compile(r"%%|%\((\w+)\)s|:")


def run(connection: Any, steps: Maker[Any]) -> Any:
    """Carry the steps out. Returns NotImplemented for what is none of SQLAlchemy's."""
    if isinstance(connection, scoped_session | async_scoped_session):
        connection = connection()
    if isinstance(connection, Connection):
        return _run_connection(connection, steps)
    if isinstance(connection, Session):
        return _run_session(connection, steps)
    if isinstance(connection, AsyncConnection):
        return connection.run_sync(_run_connection, steps)
    if isinstance(connection, AsyncSession):
        return connection.run_sync(_run_session, steps)
    return NotImplemented


def _run_session(session: Session, steps: Maker[T]) -> T:
    """As before any query of its own, what is pending is written first."""
    if session.autoflush:
        session.flush()
    return _run_connection(session.connection(), steps)


def _run_connection(connection: Connection, steps: Maker[T]) -> T:
    driver: Any = connection.connection.dbapi_connection
    alone = bool(getattr(driver, "autocommit", False)) and not _began(driver)
    try:
        return waiting(steps(alone), lambda statement: _executed(connection, statement))
    finally:
        # Whoever is interrupted must not be left in a transaction that he has not begun; not every driver's own
        # rollback does anything in autocommit.
        if alone and not connection.closed and not connection.invalidated and _began(driver):
            connection.exec_driver_sql("ROLLBACK")


def _began(driver: Any) -> bool:
    """Whether the caller has begun a transaction by a statement of his own, as far as the driver tells."""
    if (info := getattr(driver, "info", None)) is not None:
        return bool(info.transaction_status != _IDLE)
    in_transaction = getattr(getattr(driver, "driver_connection", None), "is_in_transaction", None)
    return in_transaction is not None and in_transaction()


def _executed(connection: Connection, statement: Statement) -> Rows:
    # Of no type of SQLAlchemy's: the column's own decides, as it does for a driver's parameter.
    values = [bindparam(name, value, type_=NullType()) for name, value in statement.values.items()]
    composed = text(_MARKED.sub(_in_colons, statement.text)).bindparams(*values)
    # Some of the statements cannot be read through a server's cursor.
    result = connection.execute(composed, execution_options={"stream_results": False})
    return [tuple(row) for row in result] if result.returns_rows else []


def _in_colons(marked: re.Match[str]) -> str:
    if marked[0] == "%%":
        return "%"
    return f":{marked[1]}" if marked[1] else "\\:"
