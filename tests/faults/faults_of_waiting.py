"""Faults that stand in the way of a run: locks, limits of the role, old snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from tests.faults.scene import Scene

IMPATIENT: Final = {"CONTACTS_SCHEMA_LOCK_TIMEOUT": "50ms", "CONTACTS_SCHEMA_LOCK_ATTEMPTS": "4"}
OUTLASTED: Final = 6.0
"""Seconds: far longer than four attempts of 50 ms and the pauses between them."""
ANY_GROUP: Final = "SELECT phone FROM contacts GROUP BY workspace_id, phone HAVING count(*) > 1 ORDER BY md5(phone) LIMIT 1"
LOCKS: Final = {
    "upgrade": (
        "LOCK TABLE contacts IN ROW EXCLUSIVE MODE",
        "LOCK TABLE contacts IN SHARE MODE",
        "LOCK TABLE messages IN ROW EXCLUSIVE MODE",
        "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE",
        f"SELECT FROM contacts WHERE phone = ({ANY_GROUP}) FOR UPDATE",
        f"SELECT FROM messages WHERE contact_id IN (SELECT id FROM contacts WHERE phone = ({ANY_GROUP})) FOR UPDATE",
    ),
    "downgrade": (
        "LOCK TABLE contacts IN ROW EXCLUSIVE MODE",
        "LOCK TABLE contacts IN SHARE MODE",
        "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE contacts_schema.run IN ACCESS SHARE MODE",
        "SELECT FROM messages WHERE contact_id IN (SELECT contact_id FROM messages ORDER BY md5(body) LIMIT 50) FOR UPDATE",
    ),
}
# What a run may wait for as long as it takes, since it holds nobody up.
PATIENT: Final = "query ~* '(create|drop) .*index concurrently'"
WAITS: Final = f"""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'contacts_schema' AND wait_event_type = 'Lock'
        AND now() - query_start > interval '2 seconds' AND NOT {PATIENT}
"""
WRITE: Final = "UPDATE contacts SET name = name WHERE id = (SELECT id FROM contacts ORDER BY id DESC LIMIT 1)"


@contextmanager
def lock(scene: Scene) -> Iterator[None]:
    """Somebody holds a lock for longer than every retry."""
    with scene.held(scene.chance.choice(LOCKS[scene.direction])):
        over = scene.run.ended(OUTLASTED)
        with scene.connect() as connection:
            stuck = connection.execute(WAITS.encode()).fetchone()
        if not over and stuck and stuck[0]:
            scene.problems.append("the run waits for a lock without end")
    yield


@contextmanager
def limits(scene: Scene) -> Iterator[None]:
    """The role has limits made for requests, and somebody's open transaction makes statements last longer than these."""
    with scene.held(WRITE):
        scene.run.ended(scene.chance.uniform(1.0, 1.8))
    yield


@contextmanager
def old_snapshot(scene: Scene) -> Iterator[None]:
    """A REPEATABLE READ transaction has looked, stays open for a while, and then writes."""
    with scene.held("SELECT count(*) FROM contacts", isolation="REPEATABLE READ") as connection:
        scene.run.ended(scene.chance.uniform(0.3, 3.0))
        if not scene.missed:
            _write(scene, connection)
    yield


def _write(scene: Scene, connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute("INSERT INTO contacts (workspace_id, phone) SELECT id, '+1997' FROM workspaces LIMIT 1")
        connection.commit()
    except psycopg.errors.SerializationFailure:
        # It may have missed what others did meanwhile.
        connection.rollback()
    else:
        scene.claims.append(_snapshot_kept)


def _snapshot_kept(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM contacts WHERE phone = '+1997'").fetchone()
    return [] if row == (1,) else ["what an old transaction wrote is not there"]
