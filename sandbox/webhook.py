"""What a webhook handler does: find or create a contact by phone, then add a message for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from sandbox.writer_report import Contact, Message, Record, Write

__all__ = ["Webhook", "sample"]

ATTEMPTS: Final = 3

FIND: Final = """
    SELECT id FROM {schema}.contacts WHERE workspace_id = %s AND phone = %s ORDER BY created_at, id LIMIT 1
"""
CREATE: Final = "INSERT INTO {schema}.contacts (workspace_id, phone, name) VALUES (%s, %s, %s) RETURNING id"
ADD_MESSAGE: Final = "INSERT INTO {schema}.messages (contact_id, body) VALUES (%s, %s) RETURNING id"
RENAME: Final = "UPDATE {schema}.contacts SET name = %s WHERE id = %s"
SAMPLE: Final = """
    SELECT id, workspace_id, phone FROM {schema}.contacts
    WHERE workspace_id IS NOT NULL AND phone IS NOT NULL ORDER BY md5(id::text), id LIMIT %s
"""


def sample(url: str, schema: str, size: int) -> list[Contact]:
    """Up to `size` existing contacts with a key, the same ones for the same table."""
    with psycopg.connect(url) as connection:
        found = connection.execute(_statement(SAMPLE, schema), (size,)).fetchall()
    return [Contact(id=key, workspace_id=workspace_id, phone=phone) for key, workspace_id, phone in found]


class Webhook:
    """One handler with its own connection, opened again when lost; what happens goes into `record`."""

    def __init__(self, url: str, schema: str) -> None:
        self.record = Record()
        self._url = url
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._find_sql, self._create_sql = _statement(FIND, schema), _statement(CREATE, schema)
        self._message_sql, self._rename_sql = _statement(ADD_MESSAGE, schema), _statement(RENAME, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection:
            self._connection.close()

    def perform(self, kind: str, due: float, write: Callable[[], None]) -> None:
        """Do one write and note how long it took; an error of the database is counted, not raised."""
        started = time.monotonic()
        try:
            write()
        except psycopg.Error as error:
            self.record.errors[error.sqlstate or "connection"] += 1
        self.record.writes.append(Write(kind=kind, due=due, started=started, finished=time.monotonic()))

    def receive(self, workspace_id: Any, phone: str, text: str) -> Contact | None:
        """Find or create the contact and add a message in one transaction; give the contact if created.

        A 23505 means that another handler was faster, a 23503 that the contact was merged away since it was
        found: both begin again.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._receive(workspace_id, phone, text)
            except UniqueViolation as error:
                self._rejected(error)
                if attempt == ATTEMPTS:
                    self.record.errors[f"{error.sqlstate} {ATTEMPTS} times"] += 1
            except ForeignKeyViolation as error:
                if attempt == ATTEMPTS:
                    raise
                self.record.retried(str(error.sqlstate))
        return None

    def answer(self, contact: Contact, text: str) -> None:
        """Add a message for a contact known by id or, if that was merged away, by its phone."""
        try:
            message = self._returned(self._message_sql, contact.id, text)
        except ForeignKeyViolation as error:
            self.record.retried(str(error.sqlstate))
            self.receive(contact.workspace_id, contact.phone, text)
            return
        self._acknowledge(message, contact.workspace_id, contact.phone)

    def rename(self, contact: Contact, name: str) -> None:
        """Rename the contact with that id or, if that was merged away, the one with that phone."""
        if self._rename(contact.id, name):
            return
        self.record.retried("moved")
        found = self._connected().execute(self._find_sql, (contact.workspace_id, contact.phone)).fetchone()
        if found is None or not self._rename(found[0], name):
            self.record.errors["contact is gone"] += 1

    def _receive(self, workspace_id: Any, phone: str, text: str) -> Contact | None:
        connection = self._connected()
        with connection.transaction():
            found = connection.execute(self._find_sql, (workspace_id, phone)).fetchone()
            contact_id = found[0] if found else self._returned(self._create_sql, workspace_id, phone, text)
            message = self._returned(self._message_sql, contact_id, text)
        # Only now is it committed.
        self._acknowledge(message, workspace_id, phone)
        if found:
            return None
        created = Contact(id=contact_id, workspace_id=workspace_id, phone=phone)
        self.record.contacts.append(created)
        return created

    def _acknowledge(self, message: Any, workspace_id: Any, phone: str) -> None:
        self.record.messages.append(Message(id=message, workspace_id=workspace_id, phone=phone))

    def _rename(self, contact_id: Any, name: str) -> bool:
        if self._connected().execute(self._rename_sql, (name, contact_id)).rowcount == 0:
            return False
        self.record.names[contact_id] = name
        return True

    def _returned(self, statement: bytes, *values: Any) -> Any:
        row = self._connected().execute(statement, values).fetchone()
        return row[0] if row else None

    def _rejected(self, error: UniqueViolation) -> None:
        self.record.rejections[str(error.sqlstate), error.diag.constraint_name or ""] += 1

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True)
        return self._connection


def _statement(text: str, schema: str) -> bytes:
    # Rendered once: two hundred times a second it would cost more than the write.
    return sql.SQL(text).format(schema=sql.Identifier(schema)).as_bytes(None)
