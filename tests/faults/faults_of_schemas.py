"""Faults that are somebody's own migration: a column, a child table, an index that goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random

from tests.faults.scene import Scene

CHILD = """
    LOCK TABLE contacts IN SHARE ROW EXCLUSIVE MODE;
    CREATE TABLE gifts AS
        SELECT row_number() OVER (ORDER BY id) AS id, id AS contact_id FROM contacts WHERE phone IS NOT NULL;
    ALTER TABLE gifts ADD PRIMARY KEY (id), ADD FOREIGN KEY (contact_id) REFERENCES contacts ON DELETE CASCADE;
    CREATE INDEX gifts_contact_id_idx ON gifts (contact_id);
"""
LABELS = ("labels", "contact_id, label", "labels_pkey", "PRIMARY KEY")
CONVERSATIONS = ("conversations", "contact_id, channel", "conversations_contact_id_channel_key", "UNIQUE")


@contextmanager
def add_column(scene: Scene) -> Iterator[None]:
    """A column is added to the contacts, with another value in each row."""
    _change(scene, "ALTER TABLE contacts ADD COLUMN added_meanwhile uuid NOT NULL DEFAULT gen_random_uuid()")
    scene.made.append("added_meanwhile")
    scene.edited.add("added_meanwhile")
    if not scene.missed:
        with scene.connect() as connection:
            values = dict(connection.execute("SELECT id, added_meanwhile FROM contacts").fetchall())
        scene.claims_back.append(partial(_values_are, values))
        scene.tidy.append("ALTER TABLE contacts DROP COLUMN added_meanwhile")
    yield


def _values_are(values: Mapping[Any, Any], url: str) -> list[str]:
    """A row that was archived since then has its value there."""
    with psycopg.connect(url) as connection:
        there: dict[Any, Any] = dict(connection.execute("SELECT id, added_meanwhile FROM contacts").fetchall())
    wrong = sum(there.get(key) != value for key, value in values.items())
    return [f"{wrong} of {len(values)} rows have another value in a new column"] if wrong else []


@contextmanager
def add_child(scene: Scene) -> Iterator[None]:
    """A table is made whose rows refer to the contacts, and would go with them."""
    _change(scene, CHILD)
    with scene.connect() as connection:
        row = connection.execute("SELECT to_regclass('gifts')").fetchone()
        gifts = connection.execute("SELECT count(*) FROM gifts").fetchone() if row and row[0] else None
    scene.claims.append(partial(_gifts_are, gifts))
    scene.made.append("gifts")
    scene.tidy.append("DROP TABLE IF EXISTS gifts")
    yield


def _gifts_are(gifts: tuple[int] | None, url: str) -> list[str]:
    if gifts is None:
        return []
    with psycopg.connect(url) as connection:
        there = connection.execute("SELECT count(*) FROM gifts").fetchone()
    return [] if there == gifts else [f"{there} of {gifts} rows of a new child table are there"]


@contextmanager
def drop_unique(scene: Scene) -> Iterator[None]:
    """A unique constraint that decided which children collide is dropped, and a plain index takes its place."""
    with scene.connect() as connection:
        row = connection.execute("SELECT to_regclass('conversations')").fetchone()
    table, columns, name, kind = LABELS if row == (None,) else CONVERSATIONS
    _change(scene, f"CREATE INDEX {name}_plain ON {table} ({columns}); ALTER TABLE {table} DROP CONSTRAINT {name}")
    scene.made.append(name)
    if not scene.missed:
        scene.tidy += [f"ALTER TABLE {table} ADD CONSTRAINT {name} {kind} ({columns})", f"DROP INDEX {name}_plain"]
    yield


def _change(scene: Scene, statements: str) -> None:
    """Make a change as careful people do, with a short lock timeout, until it is done or the run is over."""

    def hopeless(state: RetryCallState) -> bool:
        scene.missed = stop_after_delay(20)(state) or scene.run.process.poll() is not None
        return scene.missed

    patient = Retrying(
        retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
        wait=wait_random(max=0.1),
        stop=hopeless,
        retry_error_callback=lambda _: None,
    )
    patient(_try, scene, statements)


def _try(scene: Scene, statements: str) -> None:
    with psycopg.connect(scene.url) as connection:
        connection.execute("SET LOCAL lock_timeout = '200ms'")
        connection.execute(statements.encode())
