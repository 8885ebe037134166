"""Trying again, bounded, with jitter; and who stands in the way."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from .compose import ident
from .errors import LockNotAcquired, began_with_ctrl_c
from .query import scalars
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


def with_lock(
    connection: Connection[Any],
    settings: Settings,
    progress: Progress,
    what: str,
    action: Callable[[], T],
    tables: Iterable[tuple[str, str]] = (),
) -> T:
    """Run one short transaction that needs a lock, again while it is not to be had.

    Raises LockNotAcquired, which names who holds it, on these ``tables`` if they are known, after
    ``settings.lock_attempts``.
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
        raise LockNotAcquired(what, settings.lock_attempts, holders(connection, tables)) from None


_HOLDERS = """
-- What began a moment ago has not outlasted our attempts. Of another role's session only its name is shown, and its
-- locks; of autovacuum, that it is one.
SELECT pg_catalog.format('backend %%s (%%s)', a.pid, pg_catalog.concat_ws(', ', a.usename, a.state,
    CASE WHEN v.pid IS NOT NULL THEN 'VACUUM' END,
    'for ' || extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::int || ' s')) AS holder
FROM pg_catalog.pg_stat_activity AS a LEFT JOIN pg_catalog.pg_stat_progress_vacuum AS v ON v.pid = a.pid
WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.datname = pg_catalog.current_database()
  AND (a.xact_start < pg_catalog.clock_timestamp() - interval '50 ms' OR a.xact_start IS NULL)
  AND CASE WHEN %(tables)s::text[] = '{}'
      THEN v.pid IS NOT NULL OR (a.xact_start IS NOT NULL AND a.backend_type = 'client backend')
      ELSE EXISTS (
          SELECT FROM pg_catalog.pg_locks AS l
          WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
            AND l.relation IN (SELECT pg_catalog.to_regclass(t)::oid FROM pg_catalog.unnest(%(tables)s::text[]) AS t)
            AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      ) END
ORDER BY v.pid, a.xact_start
"""
_PREPARED = """
SELECT pg_catalog.format('prepared transaction %%L', gid) FROM pg_catalog.pg_prepared_xacts
WHERE database = pg_catalog.current_database() ORDER BY prepared
"""
_LISTED = 10


def holders(connection: Connection[Any], tables: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Who has a lock on one of these tables, by schema and name, or, without any, a transaction open in this database.

    Vacuums first, then the longest transactions; prepared ones, which show no table, last.
    """
    names = [ident(*table).as_string(connection) for table in tables]
    open_now, prepared = scalars(connection, _HOLDERS, {"tables": names}), scalars(connection, _PREPARED, {})
    return [*open_now[:_LISTED], *prepared[:_LISTED]]
