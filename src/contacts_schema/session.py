"""The connection a run works on: its settings, what it searches, the pooler behind which it must not be."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from .errors import Reason, Refused
from .query import scalar
from .settings import Settings

_SESSION = {
    # A run lasts as long as the table is large, and a role's own limits are made for requests.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # A client whose machine is gone must not keep the next run out for the two hours that systems wait by default.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # Under FORCE ROW LEVEL SECURITY rows would silently be missing; with this the server says 42501.
    "row_security": "off",
    "default_transaction_isolation": "read committed",
    # A lost tail of batches is found again as duplicates; what others commit is flushed by their own commits.
    "synchronous_commit": "off",
    # Many small statements: compiling one costs more than running it.
    "jit": "off",
    "client_min_messages": "warning",
    "application_name": "contacts_schema",
    # Our forwarding triggers let our own updates pass.
    "contacts_schema.merging": "on",
}

# Where the contacts' schema alone is searched, functions of the user's (in a trigger, a CHECK, an index, a generated column)
# may miss what they find for the application. So what changes rows searches the session's own path, too, in second place.
_KEPT_PATH = "contacts_schema.search_path"
# The server's own names stay first, which they are where the path does not say otherwise.
_OWN = (
    "pg_catalog.concat_ws(', ', pg_catalog.current_setting('search_path'),"
    f" nullif(pg_catalog.btrim(pg_catalog.regexp_replace(pg_catalog.current_setting('{_KEPT_PATH}', true),"
    """ '(^|,)\\s*"?pg_catalog"?\\s*(?=,|$)', '', 'g'), ', '), ''))"""
)
OWN_PATH = f"SELECT pg_catalog.set_config('search_path', {_OWN}, true)"

# A deferred check fails where it is met, and not at the commit. A batch changes few rows of large tables, which the planner
# cannot know of a table that was just filled: it would read some of them whole, or a whole index. So what a plan costs is
# the rows that it reads. Scans are not forbidden: up to PostgreSQL 17 a plan with a forbidden part, which every scan of a
# work table is, costs so much that nothing else about it counts. Not the costs of pages: a tablespace may have its own.
IN_BATCH = f"SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL cpu_tuple_cost = 10; SET LOCAL cpu_index_tuple_cost = 10; {OWN_PATH}"


def prepare(connection: Connection[Any], settings: Settings) -> None:
    """Set up the session. Raises Refused behind a transaction pooler, before anything is set: it would leak."""
    if connection.info.server_version < _OLDEST:
        raise Refused([_TOO_OLD])
    refuse_read_only(connection)
    refuse_pooler(connection)
    _set(connection, settings)


def refuse_read_only(connection: Connection[Any]) -> None:
    """Raise Refused where nothing can be written."""
    if scalar(connection, "SELECT pg_catalog.current_setting('transaction_read_only')") == "on":
        raise Refused([_READ_ONLY])


def _set(connection: Connection[Any], settings: Settings) -> None:
    for name, value in _SESSION.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
    # There from PostgreSQL 17 on; it would end an index build and, with a role's limit for requests, any batch.
    connection.execute(
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'"
    )
    set_lock_timeout(connection, settings.lock_timeout)
    # A killed run's backend would go on waiting in an index build, and hold the deployer's lock. Not every system can tell.
    with suppress(psycopg.errors.InvalidParameterValue):
        connection.execute("SELECT pg_catalog.set_config('client_connection_check_interval', '500ms', false)")


@contextmanager
def beside(connection: Connection[Any], settings: Settings) -> Iterator[Connection[Any] | None]:
    """A second connection, set up as the first one is; None where the server has none left for us."""
    try:
        other = _beside(connection)
    except psycopg.OperationalError:
        yield None
        return
    with closing(other):
        for name in ("role", "search_path", _KEPT_PATH):
            value = scalar(connection, "SELECT pg_catalog.current_setting(%s, true)", [name])
            other.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
        _set(other, settings)
        yield other


def at_home(connection: Connection[Any], schema: str, *, local: bool = False) -> None:
    """Search this schema alone; ``OWN_PATH`` adds what was searched so far. Until the transaction's end if ``local``."""
    kept = "SELECT pg_catalog.set_config(%s, pg_catalog.current_setting('search_path'), %s)"
    connection.execute(kept, [_KEPT_PATH, local])
    connection.execute("SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(%s), %s)", [schema, local])


def own_path(connection: Connection[Any]) -> str:
    """What ``OWN_PATH`` would set."""
    return str(scalar(connection, f"SELECT {_OWN}"))


@contextmanager
def searching(connection: Connection[Any], path: str) -> Iterator[None]:
    """Search this path, in a transaction or outside of one, and then again what was searched before."""
    before = scalar(connection, "SELECT pg_catalog.current_setting('search_path')")
    local = "false" if connection.info.transaction_status is TransactionStatus.IDLE else "true"
    search = f"SELECT pg_catalog.set_config(%s, %s, {local})"
    connection.execute(search, ["search_path", path])
    try:
        yield
    finally:
        if connection.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            connection.execute(search, ["search_path", before])


def set_lock_timeout(connection: Connection[Any], milliseconds: int) -> None:
    """How long one attempt waits for a lock; 0 waits for ever."""
    connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", [f"{milliseconds}ms"])


@contextmanager
def waiting_long(connection: Connection[Any], settings: Settings) -> Iterator[None]:
    """No lock timeout for CREATE INDEX CONCURRENTLY: it holds nobody up while it waits."""
    set_lock_timeout(connection, 0)
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            set_lock_timeout(connection, settings.lock_timeout)


def refuse_pooler(connection: Connection[Any]) -> None:
    """Raise Refused where the server's backend is not ours alone.

    A transaction pooler gives a second client the backend that the first has just left.
    """
    first = _backend(connection)
    with _beside(connection) as other, other.transaction():
        # Asked again meanwhile, a pool of one backend would let us wait for ourselves.
        shared = _backend(other) == first or _backend(connection) != first
    if shared or _backend(connection) != first:
        raise Refused([_POOLED])


_POOLED = Reason(
    problem="the connection goes through a transaction pooler: session settings and locks would reach other clients",
    way_on="use a direct connection or session pooling (on Supabase port 5432 instead of 6543)",
    code="transaction_pooler",
)


_OLDEST = 150000
_TOO_OLD = Reason(
    problem="the server is older than PostgreSQL 15",
    way_on="upgrade it first: nothing here was tried on older ones",
    code="old_server",
)

_READ_ONLY = Reason(
    problem="the database is read-only for this session: a standby, or default_transaction_read_only is on",
    way_on="connect to the primary, or: ALTER DATABASE ... or ALTER ROLE ... SET default_transaction_read_only = off",
    code="read_only",
)


def _beside(connection: Connection[Any]) -> Connection[Any]:
    """A second connection to the same place."""
    info = connection.info
    return psycopg.connect(info.dsn, password=info.password or None, autocommit=True)


def _backend(connection: Connection[Any]) -> int:
    return int(scalar(connection, "SELECT pg_catalog.pg_backend_pid()"))
