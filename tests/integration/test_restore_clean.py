"""The archive is cleared away at the end of a restore, while others may be at work on it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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
