"""Faults that stand in the way of a run: locks, limits of the role, old snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
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
UNSEEN: Final = "INSERT INTO contacts (workspace_id, phone) SELECT id, '+1997' FROM workspaces ORDER BY id LIMIT 1"
WRITE: Final = "UPDATE contacts SET name = name WHERE id = (SELECT id FROM contacts ORDER BY id DESC LIMIT 1)"


@contextmanager
def lock(scene: Scene) -> Iterator[None]:
    """Somebody holds a lock for longer than every retry."""
    statement = scene.chance.choice(LOCKS[scene.direction])
    with scene.held(statement) as holder:
        if statement.startswith("SELECT") and not holder.execute(statement.encode()).rowcount:
            scene.missed = True
        over = scene.run.ended(OUTLASTED)
        with scene.connect() as connection:
            stuck = connection.execute(WAITS.encode()).fetchone()
        if not over and stuck and stuck[0]:
            scene.problems.append("the run waits for a lock without end")
    yield


@contextmanager
def limits(scene: Scene) -> Iterator[None]:
    """The role has limits made for requests, and somebody's open transaction makes statements last longer than these."""
    with scene.held(WRITE) as connection:
        # Which limits there are depends on the server's version.
        name = scene.limit or ""
        scene.missed |= not connection.execute("SELECT FROM pg_settings WHERE name = %s", [name]).rowcount
        scene.run.ended(scene.chance.uniform(1.0, 1.8))
    yield


@contextmanager
def old_snapshot(scene: Scene) -> Iterator[None]:
    """A REPEATABLE READ transaction has looked, stays open for a while, and then writes a phone that has come since."""
    with scene.held("SELECT count(*) FROM contacts", isolation="REPEATABLE READ") as connection:
        scene.run.ended(scene.chance.uniform(0.3, 3.0))
        if not scene.missed:
            with scene.connect() as other:
                other.execute(UNSEEN.encode())
            _write(scene, connection)
    yield


def _write(scene: Scene, connection: psycopg.Connection[Any]) -> None:
    """It does not see the other's row; told so, or let in, it must not make a duplicate that stays."""
    written = 1
    try:
        connection.execute(UNSEEN.encode())
        connection.commit()
        written = 2
    except (psycopg.errors.SerializationFailure, psycopg.errors.UniqueViolation):
        connection.rollback()
    if scene.direction == "upgrade":
        scene.claims.append(partial(_unseen_are, 1))
    scene.claims_back.append(partial(_unseen_are, written))


def _unseen_are(expected: int, url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM contacts WHERE phone = '+1997'").fetchone()
    return [] if row == (expected,) else [f"{row} instead of {expected} rows with a phone that an old transaction wrote too"]
