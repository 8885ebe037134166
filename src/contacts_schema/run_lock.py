"""Who may work on a table, and in the private schema: advisory locks, which live and die with their session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from .errors import AnotherRunInProgress, LockNotAcquired
from .query import scalar
from .report import Progress
from .retry import patiently
from .settings import Settings

# Locks that no other program takes by chance: "cont" and "arch" as ASCII.
_LOCK_CLASS = int.from_bytes(b"cont")
_ARCHIVE_CLASS = int.from_bytes(b"arch")
_LOCK_ATTEMPTS = 5


@contextmanager
def alone(connection: Connection[Any], table: int, progress: Progress) -> Iterator[None]:
    """Hold the deployer's lock for one table, on the connection that does the work: they live and die together.

    Polls: a session that waited inside pg_advisory_lock would deadlock with CREATE INDEX CONCURRENTLY. Raises
    AnotherRunInProgress.
    """
    key = lock_key(table)
    _take(connection, key, progress)
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s, %s)", key)


@contextmanager
def keeping(connection: Connection[Any], settings: Settings) -> Iterator[None]:
    """Nobody clears the private schema up meanwhile: what a run has just made there looks as if nobody needed it.

    Shared, as runs of other tables have it too. Raises LockNotAcquired.
    """
    key = [_ARCHIVE_CLASS, settings.private_schema]
    for _ in patiently(settings.lock_attempts):
        if scalar(connection, "SELECT pg_catalog.pg_try_advisory_lock_shared(%s, pg_catalog.hashtext(%s))", key):
            break
    else:
        raise LockNotAcquired(f"the archive in {settings.private_schema}", settings.lock_attempts)
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock_shared(%s, pg_catalog.hashtext(%s))", key)


def may_clear_up(connection: Connection[Any], schema: str) -> bool:
    """Whether nobody is :func:`keeping` the private schema; nobody does until the end of the caller's transaction."""
    statement = "SELECT pg_catalog.pg_try_advisory_xact_lock(%s, pg_catalog.hashtext(%s))"
    return bool(scalar(connection, statement, [_ARCHIVE_CLASS, schema]))


def lock_key(table: int) -> list[int]:
    """The two numbers of the deployer's advisory lock for one table."""
    return [_LOCK_CLASS, _signed(table)]


def _take(connection: Connection[Any], key: list[int], progress: Progress) -> None:
    for _ in patiently(_LOCK_ATTEMPTS):
        if scalar(connection, "SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", key):
            return
        progress.note("another run is going on; waiting for it")
    raise AnotherRunInProgress(scalar(connection, _HOLDER, key))


_HOLDER = """
SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND classid::bigint = %s AND objid::bigint = %s & 4294967295
"""


def _signed(oid: int) -> int:
    return oid - (1 << 32) if oid >= 1 << 31 else oid
