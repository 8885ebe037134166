"""What people call: the contacts table by its names, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from contacts_schema.webhook.drivers import run
from contacts_schema.webhook.duplicates import is_duplicate
from contacts_schema.webhook.steps import Contact, finding_or_creating, resolving

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy
    from sqlalchemy.ext import asyncio
    from sqlalchemy.orm import Session, scoped_session

__all__ = ["AsyncConnection", "Connection", "Contacts"]

T = TypeVar("T")
Connection: TypeAlias = "psycopg.Connection[Any] | sqlalchemy.Connection | Session | scoped_session[Any]"
AsyncConnection: TypeAlias = (
    "psycopg.AsyncConnection[Any] | asyncio.AsyncConnection | asyncio.AsyncSession | asyncio.async_scoped_session[Any]"
)


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

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for what cannot be a name."""
        for field in fields(self):
            name = getattr(self, field.name)
            if not isinstance(name, str) and not (field.name == "survivor_order" and name is None):
                msg = f"{field.name} is a str, not {type(name).__name__}"
                raise TypeError(msg)
            if name is not None and (not name.strip() or "\0" in name):
                msg = f"{field.name} is empty or holds a NUL character"
                raise ValueError(msg)

    @overload
    def find_or_create(
        self, connection: Connection, workspace_id: Any, phone: str | None, /, **attributes: Any
    ) -> Contact: ...

    @overload
    def find_or_create(
        self, connection: AsyncConnection, workspace_id: Any, phone: str | None, /, **attributes: Any
    ) -> Coroutine[Any, Any, Contact]: ...

    def find_or_create(
        self, connection: Connection | AsyncConnection, workspace_id: Any, phone: str | None, /, **attributes: Any
    ) -> Contact | Coroutine[Any, Any, Contact]:
        """Give the id of the contact with this phone in this workspace, and whether it was created just now.

        `attributes` are further columns of a new row; one that is there stays as it is. A blank phone is none: it is
        stored as NULL, in a new row each time. Runs in the caller's transaction and leaves it usable, or in one of its
        own where the connection is in autocommit and none is open. With an asynchronous connection, await it.

        Raises the driver's error where the row cannot be inserted. In a transaction of the caller's at REPEATABLE READ or
        SERIALIZABLE it raises a serialization failure (40001) where somebody else may have created the contact since
        that began, and two that create several contacts may meet in a deadlock (40P01): begin these again.
        """
        return run(connection, partial(finding_or_creating, self, workspace_id, phone, attributes))

    @overload
    def resolve(self, connection: Connection, contact_id: T, /) -> T: ...

    @overload
    def resolve(self, connection: AsyncConnection, contact_id: T, /) -> Coroutine[Any, Any, T]: ...

    def resolve(self, connection: Connection | AsyncConnection, contact_id: T, /) -> T | Coroutine[Any, Any, T]:
        """Give the id to use today for one that was handed out earlier: the survivor's where the contact was merged.

        An id that was never merged, or is back after a downgrade, is given back as it is, and so is one that nobody
        knows. Raises PermissionError where the role may not read the archive.
        """
        return run(connection, partial(resolving, self, contact_id))

    def is_duplicate(self, error: BaseException, /) -> bool:
        """Whether `error` says that this table's constraint, its index or the upgrade's guard rejected a row."""
        return is_duplicate(error, self.constraint_name)
