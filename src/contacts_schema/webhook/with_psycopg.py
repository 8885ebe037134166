"""Sends statements over connections of psycopg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from contacts_schema.webhook.carriers import Maker, awaiting, waiting

if TYPE_CHECKING:
    from contacts_schema.webhook.statements import Statement
    from contacts_schema.webhook.steps import Rows

__all__ = ["run"]

T = TypeVar("T")


def run(connection: Any, steps: Maker[Any]) -> Any:
    """Carry the steps out. Returns NotImplemented for what is no connection of psycopg's."""
    if isinstance(connection, psycopg.Connection):
        return _run(connection, steps)
    if isinstance(connection, psycopg.AsyncConnection):
        return _run_async(connection, steps)
    return NotImplemented


def _run(connection: psycopg.Connection[Any], steps: Maker[T]) -> T:
    alone = _is_alone(connection)
    try:
        return waiting(steps(alone), lambda statement: _sent(connection, statement))
    finally:
        # Whoever is interrupted must not be left in a transaction that he has not begun.
        if alone and not _is_over(connection):
            connection.rollback()


async def _run_async(connection: psycopg.AsyncConnection[Any], steps: Maker[T]) -> T:
    alone = _is_alone(connection)
    try:
        return await awaiting(steps(alone), lambda statement: _sent_async(connection, statement))
    finally:
        if alone and not _is_over(connection):
            await connection.rollback()


def _is_alone(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise psycopg.NotSupportedError("each answer decides on the next statement: not possible in a pipeline")
    return connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE


def _is_over(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    return connection.closed or connection.info.transaction_status == TransactionStatus.IDLE


def _sent(connection: psycopg.Connection[Any], statement: Statement) -> Rows:
    raw = issubclass(connection.cursor_factory, psycopg.RawCursor)
    cursor = psycopg.Cursor(connection, row_factory=tuple_row) if raw else connection.cursor(row_factory=tuple_row)
    with cursor:
        cursor.execute(_query(statement), statement.values)
        return cursor.fetchall() if cursor.description else []


async def _sent_async(connection: psycopg.AsyncConnection[Any], statement: Statement) -> Rows:
    raw = issubclass(connection.cursor_factory, psycopg.AsyncRawCursor)
    cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row) if raw else connection.cursor(row_factory=tuple_row)
    async with cursor:
        await cursor.execute(_query(statement), statement.values)
        return await cursor.fetchall() if cursor.description else []


def _query(statement: Statement) -> bytes:
    return statement.text.encode()
