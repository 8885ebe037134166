"""What is asked of the server, one statement after the other, whoever sends it: a generator gives statements, takes rows."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from contacts_schema.webhook import telemetry
from contacts_schema.webhook.duplicates import has_code, is_duplicate
from contacts_schema.webhook.statements import Statement, Statements, plain

if TYPE_CHECKING:
    from contacts_schema.webhook.contacts import Contacts

__all__ = ["Contact", "Rows", "Steps", "finding_or_creating", "resolving"]

T = TypeVar("T")
Rows: TypeAlias = Sequence[tuple[Any, ...]]
# Gives statements, gets their rows or has the driver's error thrown in, ends with a result.
Steps: TypeAlias = Generator[Statement, Rows, T]

# A winner can be deleted before it is looked up.
_ATTEMPTS: Final = 3
# What trim() takes off in the migration's own look at blanks.
_WHITE_SPACE: Final = " \t\n\v\f\r"
_NO_TABLE: Final = "42P01"
_NO_SCHEMA: Final = "3F000"
_SAVEPOINT: Final = "contacts_schema_webhook"
_BEGIN_AGAIN: Final = plain("""
DO $$ BEGIN
    RAISE EXCEPTION 'could not serialize access: the contact may have been created since the transaction began'
          USING ERRCODE = 'serialization_failure', HINT = 'Try the transaction again.';
END $$""")


class Contact(NamedTuple):
    """A contact's id, and whether it was created by this very call."""

    id: Any
    created: bool


class _Stale(Exception):
    """The contact is there, and this transaction is too old to see it."""


def finding_or_creating(
    names: Contacts, workspace_id: Any, phone: Any, attributes: Mapping[str, Any], alone: bool
) -> Steps[Contact]:
    """Find the contact, or create it. `alone` says that no transaction is open: the creation gets one of its own."""
    for column in (names.workspace_column, names.phone_column):
        if column in attributes:
            msg = f'"{column}" is given by its place, not as an attribute'
            raise TypeError(msg)
    if not isinstance(phone, str | None):
        msg = f"a phone is a str or None, not {type(phone).__name__}"
        raise TypeError(msg)
    start = time.monotonic()
    contact = yield from _Search(names, workspace_id, phone, attributes, alone).steps()
    telemetry.handled(names, time.monotonic() - start, created=contact.created)
    return contact


class _Search:
    def __init__(
        self, names: Contacts, workspace_id: Any, phone: str | None, attributes: Mapping[str, Any], alone: bool
    ) -> None:
        self.names, self.sql, self.alone = names, Statements(names), alone
        self.workspace_id, self.attributes = workspace_id, attributes
        self.phone = phone if phone is None or phone.strip(_WHITE_SPACE) else None

    def steps(self) -> Steps[Contact]:
        if self.phone is None:
            return Contact((yield from _apart(self._insert(), alone=self.alone))[0], created=True)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return (yield from self._try(self.phone))
            except _Stale:
                break
            except Exception as error:
                if not is_duplicate(error, self.names.constraint_name):
                    raise
                again = yield from self._sees_winner()
                if again and attempt == _ATTEMPTS:
                    raise
            if not again:
                break
        yield _BEGIN_AGAIN
        raise AssertionError

    def _try(self, phone: str) -> Steps[Contact]:
        """Look first: an insert that is rejected burns a number of the id's sequence."""
        try:
            return (yield from self._find(phone)) or (yield from _apart(self._create(phone), alone=self.alone))
        except Exception as error:
            if is_duplicate(error, self.names.constraint_name):
                telemetry.rejected(self.names, self.workspace_id)
            raise

    def _find(self, phone: str) -> Steps[Contact | None]:
        rows = yield self.sql.find(self.workspace_id, phone)
        return Contact(rows[0][0], created=False) if rows else None

    def _create(self, phone: str) -> Steps[Contact]:
        yield self.sql.hold(self.workspace_id, phone)
        if found := (yield from self._find(phone)):
            return found
        contact_id, transaction, isolation = yield from self._insert()
        if not _sees_all(isolation) and (yield self.sql.unsure(transaction))[0][0]:
            raise _Stale
        return Contact(contact_id, created=True)

    def _insert(self) -> Steps[tuple[Any, ...]]:
        rows = yield self.sql.insert(self.workspace_id, self.phone, self.attributes)
        if not rows:
            msg = f"a trigger or a rule of {self.names.schema}.{self.names.table} swallowed the new contact"
            raise RuntimeError(msg)
        return rows[0]

    def _sees_winner(self) -> Steps[bool]:
        """Whether another look can find the row that ours was rejected for."""
        return self.alone or _sees_all((yield self.sql.isolation())[0][0])


def _apart(steps: Steps[T], *, alone: bool) -> Steps[T]:
    """Leave the caller's transaction as it was where the steps fail, or have one of our own."""
    # At the levels above, a lost race would be an error that a transaction of one statement has no use for.
    yield plain("BEGIN ISOLATION LEVEL READ COMMITTED" if alone else f"SAVEPOINT {_SAVEPOINT}")
    try:
        result = yield from steps
    except GeneratorExit:
        raise
    except BaseException as error:
        try:
            yield plain("ROLLBACK" if alone else f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            if not alone:
                yield plain(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        except Exception:  # noqa: BLE001 - the connection is gone, and the first error says why
            raise error from None
        raise
    yield plain("COMMIT" if alone else f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return result


def _sees_all(isolation: str) -> bool:
    """A new statement sees what has been committed since the one before."""
    return isolation in {"read committed", "read uncommitted"}


def resolving(names: Contacts, contact_id: Any, alone: bool) -> Steps[Any]:
    """Follow the archive, where the contact is not there any more."""
    sql = Statements(names)
    if (yield sql.exists(contact_id)):
        return contact_id
    try:
        return (yield from _apart(_following(names, sql, contact_id), alone=alone))
    except Exception as error:
        # A downgrade has just brought everything back, and dropped the archive.
        if has_code(error, _NO_TABLE, _NO_SCHEMA):
            return contact_id
        raise


def _following(names: Contacts, sql: Statements, contact_id: Any) -> Steps[Any]:
    ours = yield sql.archive_is_ours()
    if not ours:
        return contact_id
    if not ours[0][0]:
        msg = f'the archive in "{names.private_schema}" is its owner\'s alone: connect as the role that ran the upgrade'
        raise PermissionError(msg)
    archives = yield sql.archives()
    if not archives:
        return contact_id
    went = yield sql.follow([(name, key, number) for name, key, number in archives], contact_id)
    return went[0][0] if went else contact_id
