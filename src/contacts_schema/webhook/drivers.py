"""Sends statements over whatever connection there is, waiting or awaiting."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    import sqlalchemy

    from contacts_schema.webhook.statements import Statement
    from contacts_schema.webhook.steps import Rows, Steps

__all__ = ["run"]

T = TypeVar("T")
# Makes the steps; told whether no transaction is open and none will be: the connection is in autocommit.
Maker: TypeAlias = "Callable[[bool], Steps[T]]"

_MARKED: Final = re.compile(r"%%|%\((\w+)\)s|:")


def run(connection: Any, steps: Maker[T]) -> T | Awaitable[T]:
    """Carry the steps out, at once or, on an asynchronous connection, when awaited. Raises TypeError for what is none."""
    if isinstance(connection, psycopg.Connection):
        return _waiting(steps(_is_idle(connection)), lambda statement: _sent(connection, statement))
    if isinstance(connection, psycopg.AsyncConnection):
        return _awaiting(steps(_is_idle(connection)), lambda statement: _sent_async(connection, statement))
    return _run_sqlalchemy(connection, steps)


def _run_sqlalchemy(connection: Any, steps: Maker[T]) -> T | Awaitable[T]:
    # Whoever hands over one of its objects has imported it already; nobody else should wait for it.
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session, scoped_session

    if isinstance(connection, Session | scoped_session):
        connection = connection.connection()
    if isinstance(connection, Connection):
        return _run_connection(connection, steps)
    if isinstance(connection, AsyncConnection):
        return connection.run_sync(_run_connection, steps)
    if isinstance(connection, AsyncSession):
        return connection.run_sync(lambda session: _run_connection(session.connection(), steps))
    msg = (
        f"{type(connection).__module__}.{type(connection).__qualname__} is neither a connection of psycopg "
        "nor a Connection or Session of SQLAlchemy, nor an asynchronous one of these"
    )
    raise TypeError(msg)


def _run_connection(connection: sqlalchemy.Connection, steps: Maker[T]) -> T:
    driver = connection.connection.dbapi_connection
    return _waiting(steps(bool(getattr(driver, "autocommit", False))), lambda statement: _executed(connection, statement))


def _waiting(steps: Steps[T], send: Callable[[Statement], Rows]) -> T:
    try:
        statement = next(steps)
        while True:
            try:
                rows = send(statement)
            except Exception as error:  # noqa: BLE001 - the steps decide
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


async def _awaiting(steps: Steps[T], send: Callable[[Statement], Awaitable[Rows]]) -> T:
    try:
        statement = next(steps)
        while True:
            try:
                rows = await send(statement)
            except Exception as error:  # noqa: BLE001 - the steps decide
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


def _is_idle(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    return connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE


def _sent(connection: psycopg.Connection[Any], statement: Statement) -> Rows:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_query(statement), statement.values)
        return cursor.fetchall() if cursor.description else []


async def _sent_async(connection: psycopg.AsyncConnection[Any], statement: Statement) -> Rows:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_query(statement), statement.values)
        return await cursor.fetchall() if cursor.description else []


def _query(statement: Statement) -> bytes:
    return statement.text.encode()


def _executed(connection: sqlalchemy.Connection, statement: Statement) -> Rows:
    from sqlalchemy import bindparam, text
    from sqlalchemy.types import NullType

    # Of no type of SQLAlchemy's: the column's own decides, as it does for a driver's parameter.
    values = [bindparam(name, value, type_=NullType()) for name, value in statement.values.items()]
    result = connection.execute(text(_MARKED.sub(_in_colons, statement.text)).bindparams(*values))
    return [tuple(row) for row in result] if result.returns_rows else []


def _in_colons(marked: re.Match[str]) -> str:
    if marked[0] == "%%":
        return "%"
    return f":{marked[1]}" if marked[1] else "\\:"
