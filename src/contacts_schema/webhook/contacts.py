"""What people call: the contacts table by its names, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import psycopg

from contacts_schema.webhook.drivers import run
from contacts_schema.webhook.steps import Contact, finding_or_creating, resolving

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.ext import asyncio
    from sqlalchemy.orm import Session

__all__ = ["AsyncConnection", "Connection", "Contacts"]

Connection: TypeAlias = "psycopg.Connection[Any] | sqlalchemy.Connection | Session"
AsyncConnection: TypeAlias = "psycopg.AsyncConnection[Any] | asyncio.AsyncConnection | asyncio.AsyncSession"


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """A contacts table, by the names that the migration's settings give it.

    `survivor_order` is an SQL ORDER BY list that says which of several rows for one phone is meant, as there may be
    before the upgrade; the id comes last. The table has an id of one column.
    """

    table: str = "contacts"
    schema: str = "public"
    id_column: str = "id"
    workspace_column: str = "workspace_id"
    phone_column: str = "phone"
    survivor_order: str | None = None
    constraint_name: str = "unique_phone_workspace"
    private_schema: str = "contacts_schema"

    @overload
    def find_or_create(
        self, connection: Connection, workspace_id: Any, phone: str | None, /, **attributes: Any
    ) -> Contact: ...

    @overload
    def find_or_create(
        self, connection: AsyncConnection, workspace_id: Any, phone: str | None, /, **attributes: Any
    ) -> Awaitable[Contact]: ...

    def find_or_create(
        self, connection: Connection | AsyncConnection, workspace_id: Any, phone: str | None, /, **attributes: Any
    ) -> Contact | Awaitable[Contact]:
        """Give the id of the contact with this phone in this workspace, and whether it was created just now.

        `attributes` are further columns of a new row; one that is there stays as it is. A blank phone is none: it is
        stored as NULL, in a new row each time. Runs in the caller's transaction and leaves it usable, or in one of its
        own where the connection is in autocommit and none is open. With an asynchronous connection, await it.

        Raises the driver's error where the row cannot be inserted, and its serialization failure (40001) at REPEATABLE
        READ or SERIALIZABLE where somebody else has created the contact since the transaction began: try that again.
        """
        return run(connection, partial(finding_or_creating, self, workspace_id, phone, attributes))

    @overload
    def resolve(self, connection: Connection, contact_id: Any, /) -> Any: ...

    @overload
    def resolve(self, connection: AsyncConnection, contact_id: Any, /) -> Awaitable[Any]: ...

    def resolve(self, connection: Connection | AsyncConnection, contact_id: Any, /) -> Any:
        """Give the id to use today for one that was handed out earlier: the survivor's where the contact was merged.

        An id that was never merged, or is back after a downgrade, is given back as it is, and so is one that nobody
        knows. Raises PermissionError where the role may not read the archive.
        """
        return run(connection, lambda _: resolving(self, contact_id))
