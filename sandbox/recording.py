"""A psycopg connection that writes down what it sends, and which table locks its transaction then holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from contacts_schema.report import Silent

__all__ = ["Recorder", "Statement", "recording"]

# Locks of the catalog, of indexes, of temporary tables and of the private schema meet nobody else.
HELD: Final = """
    SELECT virtualtransaction, mode, relname
    FROM pg_locks LEFT JOIN pg_class ON pg_class.oid = relation AND relkind IN ('r', 'p')
        AND relpersistence <> 't' AND relnamespace IN (
            SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'contacts_schema')
    WHERE pid = %s AND locktype IN ('virtualxid', 'relation') AND granted
"""

# Another database's tables have other ones.
OIDS: Final = re.compile(r"'\{[\d,]+\}'::oid\[\]")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What was sent, during which step; `text` has placeholders for values, except those in `values`.

    `transaction` tells the statement's transaction from others, None where it was one of its own. `locks` are
    (mode, table) that the transaction held at the statement's end.
    """

    step: str
    text: str
    values: tuple[str, ...]
    transaction: str | None
    locks: frozenset[tuple[str, str]]


class Recorder(Silent):
    """Listens to a run's steps and to its connection. `beside`, another connection, looks at the locks."""

    def __init__(self, beside: psycopg.Connection[Any]) -> None:
        self.beside = beside
        self.current = "session"
        self.statements: list[Statement] = []

    def step(self, name: str, unit: str = "group") -> None:  # noqa: ARG002  # the protocol's
        """Write down what follows under this name."""
        self.current = name

    def note(self, message: str) -> None:
        """Fail: nobody else is there, so that nothing has to be waited for."""
        raise AssertionError(message)

    def sent(self, connection: psycopg.Connection[Any], query: Any, values: Any) -> None:
        """Write down a statement that has been executed."""
        rows = self.beside.execute(HELD, [connection.info.backend_pid]).fetchall()
        inside = connection.info.transaction_status == TransactionStatus.INTRANS
        self.statements.append(
            Statement(
                step=self.current,
                text=_text(query, connection),
                values=tuple(map(str, values)) if isinstance(values, list) else (),
                transaction=rows[0][0] if inside and rows else None,
                locks=frozenset((mode, table) for _, mode, table in rows if table) if inside else frozenset(),
            )
        )


def _text(query: Any, connection: psycopg.Connection[Any]) -> str:
    if isinstance(query, sql.Composable):
        query = query.as_string(connection)
    text = query.decode() if isinstance(query, bytes) else str(query)
    return OIDS.sub("'{...}'::oid[]", text.replace("%%", "%"))


class _Connection(psycopg.Connection[Any]):
    recorder: Recorder


class _Cursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        super().execute(query, params, **options)
        connection = self.connection
        if isinstance(connection, _Connection):
            connection.recorder.sent(connection, query, params)
        return self


@contextmanager
def recording(url: str) -> Iterator[tuple[psycopg.Connection[Any], Recorder]]:
    """Give an autocommit connection and the recorder of what is sent on it."""
    with (
        psycopg.connect(url, autocommit=True) as beside,
        _Connection.connect(url, autocommit=True, cursor_factory=_Cursor) as connection,
    ):
        recorder = Recorder(beside)
        assert isinstance(connection, _Connection)
        connection.recorder = recorder
        yield connection, recorder
