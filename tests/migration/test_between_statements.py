"""What others do between two statements of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg import Cursor, sql

from contacts_schema import execute
from contacts_schema.errors import CatalogKeepsChanging, LockNotAcquired, TableReplaced
from contacts_schema.report import Report, Silent
from contacts_schema.settings import Reference, Settings
from sandbox.trial import CONTACTS, drop_constraint, merge, query, restore, run
from tests.migration.observed import eventually, held, shown

MESSAGES = """
    CREATE TABLE messages (id bigint PRIMARY KEY, contact_id bigint REFERENCES contacts);
    INSERT INTO messages VALUES (1, 1), (2, 2), (3, 4)
"""
LEADS = """
    CREATE TABLE leads (id bigint PRIMARY KEY, workspace_id bigint, phone text, name text);
    INSERT INTO leads VALUES (1, 1, '+1', 'one'), (2, 1, '+1', 'two');
    CREATE TABLE calls (id bigint PRIMARY KEY, lead_id bigint REFERENCES leads);
    INSERT INTO calls VALUES (1, 1), (2, 2);
    ANALYZE
"""
OF_LEADS = Settings(table="leads", constraint="unique_phone_of_leads")
TOUCHED = """
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION touch()
"""
WAITS = """
    SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE NOT l.granted AND a.application_name = 'contacts_schema')
"""

IN_TURN = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND query LIKE '%pg_try_advisory_lock_shared%')
"""


class Pause:
    """Stops a run before a statement that has all of these words, the first or a later one.

    `statements` are all that it has begun.
    """

    def __init__(self, words: tuple[str, ...], nth: int) -> None:
        self.words, self.nth, self.statements = words, nth, list[str]()
        self.reached, self.over = threading.Event(), threading.Event()

    def before(self, statement: str) -> None:
        self.statements.append(statement)
        if all(word in statement for word in self.words):
            self.nth -= 1
        if self.nth == 0 and not self.reached.is_set():
            self.reached.set()
            assert self.over.wait(60)


@contextmanager
def paused(url: str, work: Any, settings: Settings, *words: str, nth: int = 1) -> Iterator[tuple[Future[Report], Pause]]:
    """A run in a thread that has come to its statement; it goes on at the end of the block at the latest."""
    pause = Pause(words, nth)

    class Watched(Cursor[Any]):
        def execute(self, query, params=None, **more):
            pause.before(query.as_string(self.connection) if isinstance(query, sql.Composable) else str(query))
            return super().execute(query, params, **more)

    with psycopg.connect(url, autocommit=True, cursor_factory=Watched) as connection, ThreadPoolExecutor() as threads:
        done = threads.submit(work, connection, settings, Silent())
        try:
            eventually(pause.reached.is_set, "the statement", unless=done.done)
            yield done, pause
        finally:
            pause.over.set()
            done.exception(60)


def goes_on_and_waits(url, done, pause):
    pause.over.set()
    eventually(lambda: shown(url, WAITS), "the wait", unless=done.done)


@pytest.mark.parametrize(
    "done",
    [
        ("ALTER TABLE contacts RENAME TO people",),
        ("ALTER TABLE contacts RENAME TO people", "CREATE TABLE contacts (LIKE people INCLUDING ALL)"),
    ],
    ids=["renamed", "replaced"],
)
def test_a_run_does_not_go_on_with_another_table(database_url, done):
    run(database_url, CONTACTS)

    with (
        paused(database_url, execute.merge_duplicates, Settings(), "~work", "INSERT INTO", "contacts") as (merged, pause),
        held(database_url, *done) as other,
    ):
        goes_on_and_waits(database_url, merged, pause)
        begun = len(pause.statements)
        eventually(lambda: len(pause.statements) > begun, "the end of the attempt", unless=merged.done)
        other.commit()
    with pytest.raises(TableReplaced, match=r"public\.contacts was renamed or replaced"):
        merged.result()
    assert query(database_url, "SELECT count(*) FROM people") == [(10,)]


SWAPPED = """
    ALTER TABLE contacts RENAME TO people;
    CREATE TABLE contacts (LIKE people INCLUDING ALL);
    INSERT INTO contacts TABLE people
"""


def test_a_batch_merges_nothing_in_a_table_that_took_the_name(database_url):
    run(database_url, CONTACTS)

    # Twice for the trial, once for the first batch.
    with paused(database_url, execute.merge_duplicates, Settings(batch_size=1), "SET CONSTRAINTS", nth=4) as (merged, _):
        run(database_url, SWAPPED)
    with pytest.raises(TableReplaced, match=r"public\.contacts was renamed or replaced"):
        merged.result()
    assert query(database_url, "SELECT count(*) FROM contacts UNION ALL SELECT count(*) FROM people") == [(8,), (8,)]


def test_nothing_comes_back_into_a_table_that_took_the_name(database_url):
    run(database_url, CONTACTS)
    merge(database_url, batch_size=1)

    with paused(database_url, execute.restore_duplicates, Settings(), "SET CONSTRAINTS", nth=2) as (restored, _):
        run(database_url, SWAPPED)
    with pytest.raises(TableReplaced, match=r"public\.contacts was renamed or replaced"):
        restored.result()
    assert query(database_url, "SELECT count(*) FROM contacts UNION ALL SELECT count(*) FROM people") == [(8,), (8,)]


def test_a_catalog_that_always_changes_before_a_batch_ends_the_run(database_url):
    run(database_url, CONTACTS)
    columns = count()

    class Outrun(Cursor[Any]):
        def execute(self, query, params=None, **more):
            if "SET CONSTRAINTS" in str(query):
                with suppress(psycopg.errors.LockNotAvailable):
                    run(database_url, f"SET lock_timeout = '50ms'; ALTER TABLE contacts ADD COLUMN c{next(columns)} int")
            return super().execute(query, params, **more)

    with (
        psycopg.connect(database_url, autocommit=True, cursor_factory=Outrun) as connection,
        pytest.raises(CatalogKeepsChanging, match=r"public\.contacts, or what refers to it, was altered again and again"),
    ):
        execute.merge_duplicates(connection, Settings(), Silent())
    assert query(database_url, "SELECT count(*) FROM contacts") == [(10,)]


@pytest.mark.parametrize(
    "newcomer", ["CREATE TABLE messages (LIKE letters INCLUDING ALL)", "CREATE VIEW messages AS TABLE letters"]
)
def test_a_trigger_is_taken_from_its_table_and_not_from_one_that_took_its_name(database_url, newcomer):
    run(database_url, CONTACTS, MESSAGES)
    merge(database_url)

    with (
        paused(database_url, execute.restore_duplicates, Settings(), "LOCK TABLE", "messages") as (restored, pause),
        held(database_url, "ALTER TABLE messages RENAME TO letters", newcomer) as other,
    ):
        goes_on_and_waits(database_url, restored, pause)
        other.commit()
    assert restored.result().rows_restored == 3
    assert query(database_url, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []


@pytest.mark.parametrize(
    "words",
    [("CREATE INDEX CONCURRENTLY",), ("CREATE TRIGGER", "guard_update"), ("LOCK TABLE", "calls")],
    ids=["index", "guard", "forwarding"],
)
def test_a_restore_clears_nothing_away_that_a_merge_of_another_table_needs(database_url, words):
    run(database_url, CONTACTS, LEADS)
    merge(database_url)

    with paused(database_url, execute.merge_duplicates, OF_LEADS, *words) as (merged, _):
        restore(database_url)
    assert merged.result().rows_merged == 1
    run(database_url, "INSERT INTO calls VALUES (3, 2)")
    assert query(database_url, "SELECT lead_id FROM calls") == [(1,), (1,), (1,)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(database_url, "INSERT INTO leads VALUES (3, 1, '+1')")
    restore(database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint)
    assert query(database_url, "SELECT to_regnamespace('contacts_schema')") == [(None,)]


def test_an_archive_stays_for_the_triggers_of_an_upgrade_that_stopped(database_url):
    run(database_url, CONTACTS, LEADS)
    merge(database_url)
    ours = "application_name = 'contacts_schema' AND datname = current_database()"

    # Once for the trial.
    with paused(database_url, execute.merge_duplicates, OF_LEADS, "INSERT INTO", ".run", nth=2) as (merged, _):
        run(database_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
    assert merged.exception() is not None
    restore(database_url)

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        run(database_url, "INSERT INTO calls VALUES (3, 99)")
    assert merge(database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint).rows_merged == 1
    restore(database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint)
    assert query(database_url, "SELECT to_regnamespace('contacts_schema')") == [(None,)]


def test_a_restore_leaves_what_another_one_looks_into(database_url):
    run(database_url, CONTACTS, LEADS)
    run(database_url, "ALTER TABLE contacts ADD lead bigint REFERENCES leads; UPDATE contacts SET lead = 2 WHERE id = 2")
    merge(database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint)
    merge(database_url, batch_size=1)

    with paused(database_url, execute.restore_duplicates, Settings(), "SET CONSTRAINTS", nth=2) as (restored, _):
        restore(database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint)
    assert restored.result().rows_restored == 3
    assert query(database_url, "SELECT id FROM leads ORDER BY id") == [(1,), (2,)]
    assert query(database_url, "SELECT to_regnamespace('contacts_schema')") == [(None,)]


def test_for_a_column_that_no_archived_row_has_each_of_them_need_not_be_tried(database_url):
    """Where triggers rest, writers wait for every attempt."""
    run(database_url, CONTACTS)
    merge(database_url)
    run(
        database_url,
        "ALTER TABLE contacts ADD since text NOT NULL DEFAULT ''; ALTER TABLE contacts ALTER since DROP DEFAULT",
    )

    with paused(database_url, execute.restore_duplicates, Settings(), "SET CONSTRAINTS") as (restored, pause):
        pass
    assert len(restored.result().kept) == 3
    assert len([statement for statement in pause.statements if '"~back"' in statement]) == 2


def test_two_restores_at_once_clear_everything_away(database_url):
    run(database_url, CONTACTS, LEADS)
    merge(database_url)
    merge(database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint)

    with (
        paused(database_url, execute.restore_duplicates, Settings(), "LOCK TABLE", "archive_1_contacts") as (first, pause),
        ThreadPoolExecutor() as threads,
    ):
        second = threads.submit(restore, database_url, table=OF_LEADS.table, constraint=OF_LEADS.constraint)
        eventually(lambda: shown(database_url, IN_TURN), "the other's wait", unless=second.done)
        pause.over.set()
        second.result(60)
    first.result()
    assert query(database_url, "SELECT to_regnamespace('contacts_schema')") == [(None,)]


def test_the_report_counts_what_was_merged_before_the_catalog_changed(database_url):
    run(database_url, CONTACTS, MESSAGES)
    one_at_a_time = Settings(batch_size=1)

    # Twice for the trial, once for the first batch.
    with paused(database_url, execute.merge_duplicates, one_at_a_time, "SET CONSTRAINTS", nth=4) as (merged, _):
        assert query(database_url, "SELECT count(*) FROM contacts") == [(8,)]
        run(database_url, "ALTER TABLE contacts ADD COLUMN more text")
    report = merged.result()
    assert (report.groups, report.rows_merged) == (2, 3)


def test_what_was_swept_before_a_lock_came_is_told(database_url):
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE calls (id bigint PRIMARY KEY, contact bigint);"
        "CREATE TABLE notes (id bigint PRIMARY KEY, contact bigint);"
        "INSERT INTO calls VALUES (1, 2); INSERT INTO notes VALUES (1, 2)",
    )
    settings = Settings(references=tuple(Reference(table=name, column="contact") for name in ("calls", "notes")))
    past = "SET contacts_schema.merging = 'on'; INSERT INTO calls VALUES (2, 2); INSERT INTO notes VALUES (2, 2)"

    with paused(database_url, execute.merge_duplicates, settings, "UPDATE", '"notes"', "~s") as (merged, pause):
        run(database_url, past)
        with held(database_url, "LOCK TABLE calls IN EXCLUSIVE MODE") as other:
            goes_on_and_waits(database_url, merged, pause)
            other.rollback()
    assert sorted(merged.result().notes) == [
        f"1 rows of public.{name} were led to survivors afterwards" for name in ("calls", "notes")
    ]


def test_what_was_taken_back_is_told_though_the_version_table_was_locked(database_url):
    versions = "CREATE TABLE alembic_version AS SELECT text 'dedupe_contacts' AS version_num"
    run(database_url, CONTACTS, versions)
    merge(database_url)

    with (
        paused(database_url, execute.take_back, Settings(), "DELETE FROM", "alembic_version") as (done, pause),
        held(database_url, "SELECT FROM alembic_version FOR UPDATE") as other,
    ):
        goes_on_and_waits(database_url, done, pause)
        begun = len(pause.statements)
        eventually(lambda: len(pause.statements) > begun, "the end of the attempt", unless=done.done)
        other.rollback()
    assert done.result().rows_restored == 3


def test_no_writer_waits_twice_for_a_batch_that_a_vacuum_keeps_out(database_url):
    """Only the vacuum's end is waited for, by a lock that writers do not notice."""
    run(database_url, CONTACTS, MESSAGES, TOUCHED)
    merge(database_url)
    drop_constraint(database_url)
    few = Settings(lock_attempts=3)

    with (
        paused(database_url, execute.restore_duplicates, few, "LOCK TABLE", "SHARE ROW EXCLUSIVE") as (restored, pause),
        held(database_url, "LOCK TABLE messages IN SHARE UPDATE EXCLUSIVE MODE"),
    ):
        pause.over.set()
        assert isinstance(restored.exception(60), LockNotAcquired)
    assert len([s for s in pause.statements if "SHARE ROW EXCLUSIVE" in s and "messages" in s]) == 1
    assert len([s for s in pause.statements if "SHARE UPDATE EXCLUSIVE" in s and "messages" in s]) == 2
