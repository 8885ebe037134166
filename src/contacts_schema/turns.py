"""Lets one `alembic upgrade` follow another, so that the second finds the version stamped by the first."""

import logging
import time
from typing import Final

from sqlalchemy import Connection, text

from contacts_schema.errors import AnotherRunInProgress

logger = logging.getLogger("alembic.contacts_schema")

_LONGEST_WAIT: Final = 600
"""Seconds."""
_EVERY: Final = 1.0
_KEY: Final = "SELECT hashtextextended('contacts_schema.alembic.' || CAST(:schema AS text), 0)"
_TRY: Final = "SELECT pg_try_advisory_lock(:key)"
_HOLDER: Final = """
SELECT pid FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (classid::bigint << 32) | objid::bigint = :key
"""


def take_turn(connection: Connection, schema: str, longest_wait: float = _LONGEST_WAIT) -> None:
    """Hold an advisory lock on this session until it ends.

    Polls for it: a waiter blocked in the server would deadlock with the index builds of the first run.

    Raises AnotherRunInProgress after `longest_wait` seconds.
    """
    key = connection.execute(text(_KEY), {"schema": schema}).scalar_one()
    end = time.monotonic() + longest_wait
    waiting = False
    while not connection.execute(text(_TRY), {"key": key}).scalar_one():
        holder = connection.execute(text(_HOLDER), {"key": key}).scalar()
        connection.commit()  # an open snapshot would hold up the first run's index builds
        if time.monotonic() >= end:
            raise AnotherRunInProgress(holder)
        if not waiting:
            logger.info("another run is going on in this database (backend %s); waiting for its end", holder)
        waiting = True
        time.sleep(_EVERY)
