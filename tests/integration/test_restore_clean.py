"""The archive is cleared away at the end of a restore, while others may be at work on it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from contacts_schema import execute as work
from contacts_schema.errors import LockNotAcquired
from contacts_schema.report import Silent
from contacts_schema.settings import Settings
from sandbox.trial import CONTACTS, merge, query, restore, run
from tests.migration.observed import eventually, execute, held, shown

WAITS = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'contacts_schema.{}'::regclass
        AND mode = 'ShareUpdateExclusiveLock' AND NOT granted)
"""
ANOTHER_RUN = """
    INSERT INTO contacts_schema.run (source, source_schema, source_name, settings) VALUES (0, 'public', 'messages', '{}')
"""
ANOTHER_MERGE = """
    WITH run AS (
        INSERT INTO contacts_schema.run (source, source_schema, source_name, settings)
        VALUES (0, 'public', 'messages', '{{}}') RETURNING id
    ), batch AS (INSERT INTO contacts_schema.batch (run) SELECT id FROM run RETURNING id)
    INSERT INTO contacts_schema.op (batch, kind, relations)
    SELECT batch.id, 'move', ARRAY[relation.id] FROM batch, contacts_schema.relation WHERE name = '{}'
"""


def test_what_another_merge_notes_while_the_archive_is_cleared_away_is_kept(database_url):
    run(database_url, CONTACTS)
    merge(database_url)
    ((journal,),) = query(database_url, "SELECT name FROM contacts_schema.relation WHERE kind = 'archive'")

    with ThreadPoolExecutor() as threads:
        with held(database_url, f"LOCK TABLE contacts_schema.{journal} IN SHARE UPDATE EXCLUSIVE MODE"):
            restored = threads.submit(restore, database_url)
            eventually(lambda: shown(database_url, WAITS.format(journal)), "the wait", unless=restored.done)
            execute(database_url, ANOTHER_MERGE.format(journal))
        restored.result(timeout=60)

    assert query(database_url, "SELECT name FROM contacts_schema.relation") == [(journal,)]
    assert query(database_url, f"SELECT count(*) FROM contacts_schema.{journal}") == [(0,)]


def test_a_run_that_begins_while_the_archive_goes_keeps_its_registry(database_url):
    run(database_url, CONTACTS)
    merge(database_url)

    with ThreadPoolExecutor() as threads:
        with held(database_url, "LOCK TABLE contacts_schema.run IN SHARE UPDATE EXCLUSIVE MODE"):
            restored = threads.submit(restore, database_url)
            eventually(lambda: shown(database_url, WAITS.format("run")), "the wait", unless=restored.done)
            execute(database_url, ANOTHER_RUN)
        restored.result(timeout=60)

    assert query(database_url, "SELECT source_name FROM contacts_schema.run") == [("messages",)]


class Told(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_what_was_kept_is_told_though_the_archive_cannot_be_cleared_away(database_url):
    run(database_url, CONTACTS, "CREATE TABLE messages (id bigint PRIMARY KEY, contact_id bigint REFERENCES contacts)")
    run(database_url, "INSERT INTO messages VALUES (1, 2), (2, 3)")
    merge(database_url)
    run(database_url, "UPDATE messages SET contact_id = 4 WHERE id = 1")
    told = Told()

    with (
        held(database_url, "SELECT FROM contacts_schema.archive_1_contacts"),
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(LockNotAcquired, match="the archive"),
    ):
        work.restore_duplicates(connection, Settings(lock_attempts=2), told)

    assert "left as it is: public.messages (id=1): changed since, kept" in told.notes


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("contacts_schema.backup", "CREATE TABLE contacts_schema.backup AS TABLE contacts"),
        ("contacts_schema.everybody", "CREATE VIEW contacts_schema.everybody AS TABLE contacts"),
        ("contacts_schema.mood", "CREATE TYPE contacts_schema.mood AS ENUM ('fair')"),
        ("kept", "CREATE VIEW kept AS TABLE contacts_schema.archive_1_contacts"),
        ("runs", "CREATE VIEW runs AS TABLE contacts_schema.run"),
    ],
)
def test_what_somebody_has_made_of_the_archive_stays(database_url, name, made):
    run(database_url, CONTACTS)
    merge(database_url)
    run(database_url, made)

    restore(database_url)

    assert query(database_url, "SELECT count(*) FROM contacts") == [(10,)]
    assert query(database_url, f"SELECT coalesce(to_regclass('{name}')::oid, to_regtype('{name}')) IS NOT NULL") == [(True,)]
    merge(database_url)
    restore(database_url)
    assert query(database_url, "SELECT count(*) FROM contacts") == [(10,)]
