"""Changes to a table's definition under its writers: short attempts at the lock, and past a vacuum that has it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from psycopg import Connection, sql

from .catalog.read import find_table
from .compose import comma, ident, template
from .errors import TableReplaced
from .query import scalar
from .report import Progress
from .retry import with_lock
from .settings import Settings

_LOCK_TIMEOUT = "SELECT pg_catalog.current_setting('lock_timeout')"
_SET = "SELECT pg_catalog.set_config('lock_timeout', %s, true)"
# Longer than the server takes to find out who is in the way, and by so little that others' deadlocks are not ours; in
# milliseconds. Not shorter than any other attempt.
_LONG_ENOUGH = """
SELECT least(2147483647, greatest(own.setting::bigint, found.setting::bigint + least(1000, found.setting::bigint)))::text
FROM pg_catalog.pg_settings AS own, pg_catalog.pg_settings AS found
WHERE own.name = 'lock_timeout' AND found.name = 'deadlock_timeout'
"""


class Named(Protocol):
    """A table, and what it was called when it was read about."""

    @property
    def oid(self) -> int: ...
    @property
    def schema(self) -> str: ...
    @property
    def name(self) -> str: ...


def change_table(
    connection: Connection[Any], settings: Settings, progress: Progress, table: Named, action: Callable[[], object]
) -> None:
    """Run a change of one table as a transaction of its own, again until it gets through.

    Raises LockNotAcquired, which names who holds the lock, after ``settings.lock_attempts``; TableReplaced where the
    name is another table's by now.
    """
    name = (table.schema, table.name)

    def transaction() -> None:
        with connection.transaction():
            past_vacuum(connection, [ident(*name)])
            if find_table(connection, *name) != table.oid:
                raise TableReplaced(".".join(name))
            action()

    with_lock(connection, settings, progress, f"table {'.'.join(name)}", transaction, [name])


def past_vacuum(connection: Connection[Any], tables: Iterable[sql.Identifier]) -> None:
    """Take a vacuum's own lock on all of these tables, in the caller's transaction.

    A writer waits neither for this lock nor behind it, so that here we may wait; and no vacuum begins while we have it.
    """
    listed = list(tables)
    if listed:
        with outlasting_vacuum(connection):
            connection.execute(template("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(comma(listed)), {})


@contextmanager
def outlasting_vacuum(connection: Connection[Any]) -> Iterator[None]:
    """Wait for locks until an autovacuum has given way, in the caller's transaction: for what no writer waits behind.

    Autovacuum yields to whoever has waited for longer than ``deadlock_timeout`` (1 s), which no attempt of
    ``lock_timeout`` (0.1 s) does: it would keep every one of them out until it is done, on a large table for hours.
    """
    short = scalar(connection, _LOCK_TIMEOUT)
    connection.execute(_SET, [scalar(connection, _LONG_ENOUGH)])
    yield
    connection.execute(_SET, [short])
