"""Trying again, bounded, with jitter; and who stands in the way."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import scalar_row
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from .errors import LockNotAcquired, began_with_ctrl_c
from .report import Progress
from .settings import Settings

T = TypeVar("T")

# lock_not_available, deadlock_detected, serialization_failure
_LOCKED = {"55P03", "40P01", "40001"}
_UNIQUE_VIOLATION = "23505"
_LONGEST = 2.0


def is_locked(error: BaseException) -> bool:
    """Somebody else has what we need; it may be free a moment later."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _LOCKED and not began_with_ctrl_c(error)


def may_pass(error: psycopg.Error) -> bool:
    """Tried again it may succeed: a lock, or a writer's row that came between and is seen the next time."""
    return is_locked(error) or error.sqlstate == _UNIQUE_VIOLATION


def patiently(attempts: int) -> Iterator[int]:
    """Count attempts, with a growing random pause of at most two seconds between two of them."""
    for attempt in range(1, attempts + 1):
        yield attempt
        if attempt < attempts:
            time.sleep(random.uniform(0.5, 1.0) * min(_LONGEST, 0.05 * 2**attempt))


def with_lock(connection: Connection[Any], settings: Settings, progress: Progress, what: str, action: Callable[[], T]) -> T:
    """Run one short transaction that needs a lock, again while it is not to be had.

    Raises LockNotAcquired, which names who holds it, after ``settings.lock_attempts``.
    """

    def say(state: RetryCallState) -> None:
        if state.attempt_number in (1, 10, 50):
            progress.note(f"waiting for a lock on {what}; attempt {state.attempt_number} of {settings.lock_attempts}")

    retrying = Retrying(
        retry=retry_if_exception(is_locked),
        stop=stop_after_attempt(settings.lock_attempts),
        wait=wait_random_exponential(multiplier=0.05, max=_LONGEST),
        before_sleep=say,
        reraise=True,
    )
    try:
        return retrying(action)
    except psycopg.Error as error:
        if not is_locked(error):
            raise
        raise LockNotAcquired(what, settings.lock_attempts, holders(connection)) from None


_HOLDERS = """
-- Another role's session, and autovacuum, show nothing of themselves but for this. First: the list may be cut off.
SELECT pg_catalog.format('backend %%s (VACUUM)', v.pid) FROM pg_catalog.pg_stat_progress_vacuum AS v
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = v.pid
WHERE v.datname = pg_catalog.current_database() AND a.backend_type IS DISTINCT FROM 'client backend'
UNION ALL
SELECT pg_catalog.format('backend %%s (%%s, %%s, for %%s s)', a.pid, a.usename,
                         a.state, extract(epoch FROM now() - a.xact_start)::int) AS holder
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.datname = pg_catalog.current_database()
  AND a.xact_start < now() - interval '50 ms' AND a.backend_type = 'client backend'
UNION ALL
SELECT pg_catalog.format('prepared transaction %%L', gid) FROM pg_catalog.pg_prepared_xacts
WHERE database = pg_catalog.current_database()
"""


def holders(connection: Connection[Any]) -> list[str]:
    """Sessions with an open transaction in this database, and prepared transactions: one of them holds the lock."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_HOLDERS, {}).fetchmany(10)
