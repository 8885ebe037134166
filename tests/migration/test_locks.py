"""Whatever statement a run is at, somebody may just have locked every table for longer than an attempt waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import Cursor, sql

from contacts_schema import execute
from contacts_schema.report import Silent
from contacts_schema.settings import Reference, Settings
from sandbox import trial
from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure

TABLES = """
    CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id bigint, phone text, name text,
        referrer bigint REFERENCES contacts);
    CREATE TABLE messages (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contacts, body text);
    CREATE TABLE tags (contact_id bigint REFERENCES contacts ON DELETE CASCADE, tag text, PRIMARY KEY (contact_id, tag));
    CREATE TABLE visits (contact_id bigint REFERENCES contacts ON DELETE SET NULL, page text);
    CREATE TABLE activities (id bigint PRIMARY KEY, subject_id bigint);
    CREATE INDEX ON messages (contact_id); CREATE INDEX ON visits (contact_id); CREATE INDEX ON activities (subject_id);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION touch();
    INSERT INTO contacts SELECT g, 1, '+1555' || g / 2, 'name ' || g, g / 3 FROM generate_series(0, 60) AS g;
    INSERT INTO contacts VALUES (100, 1, ' ', 'blank', NULL);
    INSERT INTO messages SELECT g, g, 'text' FROM generate_series(0, 60) AS g;
    INSERT INTO tags SELECT g, 'vip' FROM generate_series(0, 60) AS g;
    INSERT INTO visits SELECT g, 'home' FROM generate_series(0, 60) AS g;
    INSERT INTO activities SELECT g, g FROM generate_series(0, 60) AS g;
"""
SETTINGS = Settings(
    references=(Reference(table="activities", column="subject_id"),),
    survivor_order="name DESC",
    fill=("name",),
    blank_phones="null",
    lock_timeout=20,
)
LOCK = "LOCK TABLE contacts, messages, tags, visits, activities IN ACCESS EXCLUSIVE MODE NOWAIT"
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted)"
# So many looks at a statement that waits: then it is one that may wait for longer.
LOOKS, EVERY = 40, 0.005


class Holder:
    """Has a lock on every table whenever a statement begins that it has not seen before, until that has failed of it."""

    def __init__(self, url: str) -> None:
        self.url, self.seen, self.failed = url, set[str](), list[str]()

    @contextmanager
    def before(self, statement: str, backend: int) -> Iterator[None]:
        if statement in self.seen:
            yield
            return
        with psycopg.connect(self.url) as connection:
            if not self._locked(connection):
                yield
                return
            self.seen.add(statement)
            ended = threading.Event()
            releasing = threading.Thread(target=self._release, args=(connection, backend, ended))
            releasing.start()
            try:
                yield
            except psycopg.errors.LockNotAvailable:
                self.failed.append(statement)
                raise
            finally:
                ended.set()
                releasing.join()

    @staticmethod
    def _locked(connection: psycopg.Connection[Any]) -> bool:
        """Not where the run itself has a lock at the time."""
        try:
            connection.execute(LOCK)
        except psycopg.errors.LockNotAvailable:
            connection.rollback()
            return False
        return True

    @staticmethod
    def _release(connection: psycopg.Connection[Any], backend: int, ended: threading.Event) -> None:
        looks = 0
        while looks < LOOKS and not ended.wait(EVERY):
            (waits,) = connection.execute(WAITS, [backend]).fetchone() or (False,)
            looks += waits
        connection.rollback()


@pytest.fixture
def holder(database_url):
    trial.run(database_url, TABLES)
    return Holder(database_url)


@pytest.fixture
def connection(holder):
    class Held(Cursor[Any]):
        def execute(self, query, params=None, **more):
            text = query.as_string(self.connection) if isinstance(query, sql.Composable) else str(query)
            with holder.before(text, self.connection.info.backend_pid):
                return super().execute(query, params, **more)

    with psycopg.connect(holder.url, autocommit=True, cursor_factory=Held) as made:
        yield made


def test_a_run_comes_through_however_often_it_meets_a_lock(holder, connection):
    before = snapshot(holder.url), structure(holder.url)

    merged = execute.merge_duplicates(connection, SETTINGS, Silent())
    execute.add_constraint(connection, SETTINGS, Silent())
    up = len(holder.failed)
    execute.drop_constraint(connection, SETTINGS, Silent())
    restored = execute.restore_duplicates(connection, SETTINGS, Silent())

    assert up > 10
    assert len(holder.failed) > up
    assert (merged.groups, merged.rows_merged) == (30, 30)
    assert restored.kept == ()
    assert difference(before[0], snapshot(holder.url)) == []
    assert sorted(before[1] ^ structure(holder.url)) == []
