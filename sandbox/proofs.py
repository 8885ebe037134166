"""What can be proved about a database afterwards: no write lost, no duplicate left, constraint in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql

from sandbox.writer_report import CONSTRAINT, WriterReport

__all__ = ["check", "constraint_is_valid", "duplicate_groups"]

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

ACKNOWLEDGED: Final = """
    CREATE TEMPORARY TABLE acknowledged_message AS
        SELECT message.id, contact.workspace_id, contact.phone
        FROM {schema}.messages AS message, {schema}.contacts AS contact WITH NO DATA;
    CREATE TEMPORARY TABLE acknowledged_contact AS TABLE acknowledged_message WITH NO DATA;
    CREATE TEMPORARY TABLE acknowledged_name AS SELECT id, name FROM {schema}.contacts WITH NO DATA;
"""
LOST_MESSAGES: Final = """
    SELECT 'message ' || acknowledged.id || CASE WHEN message.id IS NULL THEN ' is gone'
        ELSE ' belongs to contact ' || message.contact_id || ', which has another key' END
    FROM acknowledged_message AS acknowledged
    LEFT JOIN {schema}.messages AS message ON message.id = acknowledged.id
    LEFT JOIN {schema}.contacts AS contact ON contact.id = message.contact_id
    WHERE contact.workspace_id IS DISTINCT FROM acknowledged.workspace_id
        OR contact.phone IS DISTINCT FROM acknowledged.phone
    ORDER BY acknowledged.id
"""
LOST_CONTACTS: Final = """
    SELECT 'contact ' || acknowledged.id || ' is gone, and no contact has its key'
    FROM acknowledged_contact AS acknowledged
    LEFT JOIN {schema}.contacts AS contact USING (workspace_id, phone)
    WHERE contact.id IS NULL
    ORDER BY acknowledged.id
"""
LOST_NAMES: Final = """
    SELECT 'contact ' || contact.id || ' lost its acknowledged name'
    FROM acknowledged_name AS acknowledged JOIN {schema}.contacts AS contact USING (id)
    WHERE contact.name IS DISTINCT FROM acknowledged.name
    ORDER BY contact.id
"""
DUPLICATE_GROUPS: Final = """
    SELECT count(*) FROM (
        SELECT FROM {schema}.contacts WHERE workspace_id IS NOT NULL AND phone IS NOT NULL
        GROUP BY workspace_id, phone HAVING count(*) > 1
    ) AS duplicate
"""
VALID: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_constraint AS found
        JOIN pg_catalog.pg_index AS built ON built.indexrelid = found.conindid
        WHERE found.conname = %s AND found.contype = 'u' AND found.convalidated AND built.indisvalid
            AND found.connamespace = to_regnamespace(quote_ident(%s))
    )
"""


def check(url: str, report: WriterReport, schema: str = "public") -> list[str]:
    """Acknowledged writes that were lost, one line each, by primary key.

    Every message must be there, with a contact that has the phone and workspace it was sent for; every
    contact's key must have a contact; every contact still there must have the last name it was given.
    """
    with psycopg.connect(url) as connection:
        connection.execute(_statement(ACKNOWLEDGED, schema))
        _copy(connection, "acknowledged_message", ((m.id, m.workspace_id, m.phone) for m in report.messages))
        _copy(connection, "acknowledged_contact", ((c.id, c.workspace_id, c.phone) for c in report.contacts))
        _copy(connection, "acknowledged_name", report.names.items())
        connection.execute("ANALYZE acknowledged_message, acknowledged_contact, acknowledged_name")
        queries = (_statement(text, schema) for text in (LOST_MESSAGES, LOST_CONTACTS, LOST_NAMES))
        return [line for query in queries for (line,) in connection.execute(query)]


def duplicate_groups(url: str, schema: str = "public") -> int:
    """How many (workspace_id, phone) have more than one contact."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_statement(DUPLICATE_GROUPS, schema)).fetchone()
    return int(row[0]) if row else 0


def constraint_is_valid(url: str, schema: str = "public") -> bool:
    """Whether the unique constraint is there, with a valid index."""
    with psycopg.connect(url) as connection:
        row = connection.execute(VALID, (CONSTRAINT, schema)).fetchone()
    return bool(row and row[0])


def _copy(connection: Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
        for row in rows:
            copy.write_row(row)


def _statement(text: str, schema: str) -> sql.Composed:
    return sql.SQL(text).format(schema=sql.Identifier(schema))
