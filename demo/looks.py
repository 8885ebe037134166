"""What the demo looks at in the database: the worst group of duplicates, the whole CRM, the three cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.errors import UniqueViolation

__all__ = ["Case", "Member", "Numbers", "cases", "group", "group_key", "numbers"]

Key: TypeAlias = tuple[Any, Any]

WORST: Final = """
    SELECT workspace_id, phone FROM contacts WHERE phone IS NOT NULL
    GROUP BY workspace_id, phone ORDER BY count(*) DESC, min(created_at) LIMIT 1
"""
MEMBERS: Final = """
    SELECT left(id::text, 8), coalesce(name, '-'), created_at::time(0)::text,
        (SELECT count(*) FROM contact_tags WHERE contact_id = contacts.id),
        (SELECT count(*) FROM notes WHERE contact_id = contacts.id),
        (SELECT count(*) FROM conversations WHERE contact_id = contacts.id),
        (SELECT count(*) FROM messages WHERE contact_id = contacts.id),
        (SELECT count(*) FROM deals WHERE contact_id = contacts.id),
        (SELECT count(*) FROM custom_values WHERE contact_id = contacts.id)
    FROM contacts WHERE (workspace_id, phone) = (%s, %s) ORDER BY created_at, id
"""
NUMBERS: Final = """
    SELECT
        (SELECT count(*) FROM contacts),
        (SELECT count(*) FROM (
            SELECT FROM contacts WHERE phone IS NOT NULL GROUP BY workspace_id, phone HAVING count(*) > 1
        ) AS groups),
        (SELECT count(*) FROM messages),
        (SELECT count(*) FROM notes)
"""
INSERT: Final = "INSERT INTO contacts (workspace_id, phone, name) VALUES (%s, %s, 'demo')"
OTHER_WORKSPACE: Final = """
    SELECT id FROM workspaces
    WHERE NOT EXISTS (SELECT FROM contacts WHERE workspace_id = workspaces.id AND phone = %s)
    ORDER BY id LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One row of a group: the start of its id, its name and time of day, and how much hangs on it."""

    id: str
    name: str
    created: str
    hanging: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Rows in the CRM."""

    contacts: int
    duplicate_groups: int
    messages: int
    notes: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """One acceptance case, and what the server said: None if it accepted, else the constraint's name."""

    words: str
    rejected_by: str | None


def group_key(url: str) -> Key:
    """Workspace and phone of the largest group of duplicates."""
    with psycopg.connect(url) as connection:
        row = connection.execute(WORST).fetchone()
    if row is None:
        raise LookupError("the sample CRM has no duplicates")
    return row[0], row[1]


def group(url: str, key: Key) -> list[Member]:
    """The contacts with that key, the oldest first."""
    with psycopg.connect(url) as connection:
        connection.execute("SET timezone = 'UTC'")
        rows = connection.execute(MEMBERS, key).fetchall()
    return [Member(id=row[0], name=row[1], created=row[2], hanging=row[3:]) for row in rows]


def numbers(url: str) -> Numbers:
    """How many rows there are now."""
    with psycopg.connect(url) as connection:
        row = connection.execute(NUMBERS).fetchone() or (0, 0, 0, 0)
    return Numbers(contacts=row[0], duplicate_groups=row[1], messages=row[2], notes=row[3])


def cases(url: str, key: Key) -> list[Case]:
    """Try to insert each kind of contact, and roll back what is accepted."""
    workspace_id, phone = key
    with psycopg.connect(url) as connection:
        other = connection.execute(OTHER_WORKSPACE, (phone,)).fetchone()
    return [
        Case(words="the same phone in the same workspace", rejected_by=_try(url, workspace_id, phone)),
        Case(words="the same phone in another workspace", rejected_by=_try(url, other and other[0], phone)),
        Case(words="another phone in the same workspace", rejected_by=_try(url, workspace_id, "+15550000000")),
    ]


def _try(url: str, workspace_id: Any, phone: str) -> str | None:
    with psycopg.connect(url) as connection:
        try:
            connection.execute(INSERT, (workspace_id, phone))
        except UniqueViolation as error:
            return error.diag.constraint_name
        finally:
            connection.rollback()
    return None
