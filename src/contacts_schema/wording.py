"""A server's error without the server's text, which can hold values of rows: phone numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from .errors import ContactsSchemaError, Interrupted, StatementFailed, is_lost


def worded(error: BaseException | None) -> ContactsSchemaError:
    """The connection was lost, or a statement failed: then its code, and the names of table and constraint."""
    if not isinstance(error, psycopg.Error):
        return StatementFailed(None, None, None)
    if isinstance(error, psycopg.OperationalError) and is_lost(error.sqlstate):
        return Interrupted()
    return StatementFailed(error.sqlstate, error.diag.table_name, error.diag.constraint_name)


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn psycopg's errors into our own."""
    try:
        yield
    except psycopg.Error as error:
        raise worded(error) from None
