"""What a run has put up is taken down again, whatever somebody did to it meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.trial import CONTACTS, drop_constraint, merge, query, restore, run
from tests.migration.observed import eventually, held, shown

MESSAGES = """
    CREATE TABLE messages (id bigint PRIMARY KEY, contact_id bigint REFERENCES contacts);
    INSERT INTO messages VALUES (1, 1), (2, 2), (3, 4)
"""
FUNCTIONS = "SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('contacts_schema')"
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%messages%')"


@pytest.fixture
def url(database_url):
    run(database_url, CONTACTS, MESSAGES)
    merge(database_url)
    return database_url


@pytest.mark.parametrize(
    "done",
    [
        "DROP TABLE messages",
        "ALTER TABLE messages RENAME TO letters",
        "CREATE SCHEMA other; ALTER TABLE messages SET SCHEMA other",
    ],
)
def test_a_table_that_somebody_changed_since_leaves_nothing_behind(url, done):
    run(url, done)
    restore(url)

    assert query(url, FUNCTIONS) == []


@pytest.mark.parametrize("done", ["DROP TABLE messages", "ALTER TABLE messages RENAME TO letters"])
def test_a_table_that_is_changed_while_its_trigger_goes_leaves_nothing_behind(url, done):
    with ThreadPoolExecutor() as threads:
        with held(url, "LOCK TABLE messages IN SHARE UPDATE EXCLUSIVE MODE") as other:
            restored = threads.submit(restore, url)
            eventually(lambda: shown(url, WAITS), "the wait", unless=restored.done)
            other.execute(done)
            other.commit()
        restored.result(timeout=60)

    assert query(url, FUNCTIONS) == []


def test_a_guard_whose_triggers_somebody_dropped_leaves_nothing_behind(url):
    run(
        url,
        "DROP TRIGGER contacts_schema_guard_insert ON contacts",
        "DROP TRIGGER contacts_schema_guard_update ON contacts",
    )
    drop_constraint(url)
    restore(url)

    assert query(url, FUNCTIONS) == []


def test_a_guard_whose_trigger_somebody_renamed_leaves_nothing_behind(url):
    run(url, "ALTER TRIGGER contacts_schema_guard_insert ON contacts RENAME TO mine")
    drop_constraint(url)
    restore(url)

    assert query(url, FUNCTIONS) == []


def test_no_vacuum_is_in_the_way_of_the_claims(url):
    ((options,),) = query(url, "SELECT reloptions FROM pg_class WHERE relname LIKE 'claims_%' AND relkind = 'r'")

    assert options == ["autovacuum_enabled=off"]
