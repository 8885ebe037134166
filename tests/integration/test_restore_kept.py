"""What stands in the way of a restore holds up nothing else, harms nobody else's rows, and is told once."""

from __future__ import annotations

import threading

import psycopg
import pytest

from contacts_schema.settings import Reference
from sandbox.trial import add_constraint, drop_constraint, merge, query, restore, run

CONTACTS = "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, email text);"
PAIR = CONTACTS + "INSERT INTO contacts VALUES (1, 1, 'a'), (2, 1, 'a');"
TWO_PAIRS = PAIR + "INSERT INTO contacts VALUES (3, 1, 'b'), (4, 1, 'b');"
CHAIN = CONTACTS + "INSERT INTO contacts VALUES (1, 1, 'z'), (2, 1, 'a'), (3, 1, 'a');"
CALLS = "CREATE TABLE calls (id int PRIMARY KEY, caller int REFERENCES contacts, callee int REFERENCES contacts);"
NOTES = "CREATE TABLE notes (contact_id int REFERENCES contacts, note text);"
MESSAGES = "CREATE TABLE messages (id int PRIMARY KEY, contact_id int REFERENCES contacts);"
LOCKED = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY%'"


def two_runs(url, **second):
    """3 goes to 2, and in another run 2 to 1."""
    merge(url)
    drop_constraint(url)
    run(url, "UPDATE contacts SET phone = 'a' WHERE id = 1")
    merge(url, **second)
    drop_constraint(url)


def test_a_row_of_other_people_under_a_former_key_is_not_touched(database_url):
    run(database_url, CHAIN, "CREATE TABLE profiles (contact_id int PRIMARY KEY REFERENCES contacts, bio text)")
    run(database_url, "INSERT INTO profiles VALUES (3, 'three')")
    two_runs(database_url)
    run(database_url, "INSERT INTO contacts VALUES (2, 1, 'new'); INSERT INTO profiles VALUES (2, 'of other people')")

    kept = restore(database_url).kept

    assert query(database_url, "TABLE profiles ORDER BY 1") == [(1, "three"), (2, "of other people")]
    assert "public.profiles (contact_id=2): stays with the survivor, its own row is not back" in kept


def test_what_was_filled_waits_for_the_row_that_a_later_run_archived(database_url):
    run(database_url, CONTACTS)
    run(database_url, "INSERT INTO contacts VALUES (0, 1, 'z', NULL), (1, 1, 'a', NULL), (2, 1, 'a', 'two@example.org')")
    before = query(database_url, "SELECT id, email FROM contacts ORDER BY 1")
    merge(database_url, fill=("email",))
    drop_constraint(database_url)
    run(database_url, "UPDATE contacts SET phone = 'a' WHERE id = 0")
    merge(database_url, survivor_order="id")
    drop_constraint(database_url)
    run(database_url, "INSERT INTO contacts VALUES (1, 1, 'new', 'two@example.org')")

    restore(database_url)

    assert query(database_url, "SELECT email FROM contacts WHERE phone = 'new'") == [("two@example.org",)]
    run(database_url, "DELETE FROM contacts WHERE phone = 'new'")
    assert restore(database_url).kept == ()
    assert query(database_url, "SELECT id, email FROM contacts ORDER BY 1") == before


def test_a_reference_waits_for_its_row_that_a_later_run_archived(database_url):
    run(database_url, CHAIN, "CREATE TABLE tags (id int PRIMARY KEY, contact_id int UNIQUE REFERENCES contacts)")
    run(database_url, "INSERT INTO tags VALUES (10, 1), (30, 3)")
    two_runs(database_url, collisions=((None, "tags", "merge"),))
    run(database_url, "INSERT INTO tags VALUES (30, NULL)")

    restore(database_url)
    run(database_url, "DELETE FROM tags WHERE contact_id IS NULL")

    assert restore(database_url).kept == ()
    assert query(database_url, "TABLE tags ORDER BY 1") == [(10, 1), (30, 3)]


def test_one_of_several_like_rows_without_a_key_is_no_obstacle_to_the_others(database_url):
    run(database_url, TWO_PAIRS, "INSERT INTO contacts VALUES (5, 1, 'a')", NOTES)
    run(database_url, "INSERT INTO notes VALUES (2, 'x'), (5, 'x'), (4, 'y')")
    merge(database_url)
    run(database_url, "ALTER TABLE notes ADD CONSTRAINT not_four CHECK (contact_id <> 4)")

    kept = restore(database_url).kept

    assert query(database_url, "TABLE notes ORDER BY 1") == [(2, "x"), (3, "y"), (5, "x")]
    assert kept == ("public.notes (a row without a primary key): not moved back, not_four (SQLSTATE 23514)",)


@pytest.mark.parametrize("key", ["id int PRIMARY KEY", "id int"], ids=["primary key", "no primary key"])
def test_of_two_references_one_waits_and_follows_later(database_url, key):
    run(database_url, TWO_PAIRS, CALLS.replace("id int PRIMARY KEY", key), "INSERT INTO calls VALUES (7, 2, 4)")
    merge(database_url)
    run(database_url, "INSERT INTO contacts VALUES (2, 1, 'taken')")

    first = restore(database_url).kept

    assert query(database_url, "TABLE calls") == [(7, 1, 4)]
    assert len(first) == 2
    run(database_url, "DELETE FROM contacts WHERE phone = 'taken'")
    assert restore(database_url).kept == ()
    assert query(database_url, "TABLE calls") == [(7, 2, 4)]


def test_a_moved_key_waits_for_rows_that_will_need_it(database_url):
    """Nothing referred to 5 at that moment, it went on to 12, and the row that wanted to return to 5 never could."""
    merging = {"collisions": ((None, "profiles", "merge"),)}
    run(database_url, CONTACTS + "INSERT INTO contacts VALUES (1, 1, 'z'), (5, 1, 'a'), (12, 1, 'a')")
    run(database_url, "CREATE TABLE profiles (contact_id int PRIMARY KEY REFERENCES contacts)")
    run(database_url, "CREATE TABLE likes (id int PRIMARY KEY, contact_id int REFERENCES profiles)")
    run(database_url, "INSERT INTO profiles VALUES (1), (12); INSERT INTO likes VALUES (7, 12)")
    merge(database_url, **merging)
    drop_constraint(database_url)
    run(database_url, "UPDATE contacts SET phone = 'a' WHERE id = 1")
    merge(database_url, **merging)
    drop_constraint(database_url)
    run(database_url, "ALTER TABLE likes ADD CONSTRAINT not_five CHECK (contact_id <> 5) NOT VALID")

    kept = restore(database_url).kept

    assert kept == (
        "public.likes (id=7): not moved back, not_five (SQLSTATE 23514)",
        "public.profiles (contact_id=5): stays with the survivor, its own row is not back",
        "public.likes (id=7): stays with the survivor, its own row is not back",
    )
    run(database_url, "ALTER TABLE likes DROP CONSTRAINT not_five")
    assert restore(database_url).kept == ()
    assert query(database_url, "TABLE profiles ORDER BY 1") == [(1,), (12,)]
    assert query(database_url, "TABLE likes") == [(7, 12)]


def test_a_row_is_listed_once_whatever_keeps_it(database_url):
    run(database_url, TWO_PAIRS, CALLS, "INSERT INTO calls VALUES (7, 2, 4)")
    merge(database_url)
    run(database_url, "INSERT INTO contacts VALUES (2, 1, 'taken'); ALTER TABLE calls ADD CHECK (callee <> 4)")

    kept = restore(database_url).kept

    assert len([line for line in kept if "calls" in line]) == 1


def test_without_a_key_a_row_of_two_runs_comes_back_in_two_steps(database_url):
    run(database_url, CHAIN, NOTES, "INSERT INTO notes VALUES (3, 'x')")
    two_runs(database_url)
    run(database_url, "INSERT INTO contacts VALUES (2, 1, 'new')")

    restore(database_url)
    run(database_url, "DELETE FROM contacts WHERE phone = 'new'")

    assert restore(database_url).kept == ()
    assert query(database_url, "TABLE notes") == [(3, "x")]


def test_a_column_of_another_type_keeps_its_rows_and_not_the_others(database_url):
    run(database_url, TWO_PAIRS, MESSAGES, "INSERT INTO messages VALUES (7, 2)")
    run(database_url, "UPDATE contacts SET email = '{}'")
    merge(database_url)
    run(database_url, "ALTER TABLE contacts ALTER email TYPE jsonb USING email::jsonb")

    kept = restore(database_url).kept

    assert kept == (
        "public.contacts (id=2): stays in the archive, SQLSTATE 42804",
        "public.contacts (id=4): stays in the archive, SQLSTATE 42804",
        "public.messages (id=7): stays with the survivor, its own row is not back",
    )


def test_each_archived_row_is_listed_with_its_own_cause(database_url):
    run(database_url, "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, parent int)")
    run(database_url, "INSERT INTO contacts VALUES (1, 1, 'a', NULL), (2, 1, 'a', NULL), (3, 1, 'a', 2)")
    parent = (Reference(table="contacts", column="parent"),)
    merge(database_url, references=parent)
    run(database_url, "INSERT INTO contacts VALUES (2, 1, 'new')")

    assert restore(database_url, references=parent).kept == (
        "public.contacts (id=2): stays in the archive, contacts_pkey (SQLSTATE 23505)",
        "public.contacts (id=3): stays in the archive, what it refers to is not back",
    )


@pytest.mark.parametrize(
    ("agent", "references"),
    [
        ("REFERENCES contacts", ()),
        ("REFERENCES contacts ON DELETE CASCADE DEFERRABLE", ()),
        ("", (Reference(table="tags", column="agent", condition="id > 0"),)),
    ],
)
def test_a_row_of_an_earlier_batch_does_not_come_back_to_a_stranger(database_url, agent, references):
    """It was archived first, while the other contact it refers to was still there."""
    run(database_url, TWO_PAIRS)
    run(
        database_url, f"CREATE TABLE tags (id int PRIMARY KEY, contact_id int UNIQUE REFERENCES contacts, agent int {agent})"
    )
    run(database_url, "CREATE TABLE likes (id int PRIMARY KEY, tag_id int UNIQUE REFERENCES tags)")
    run(database_url, "INSERT INTO tags VALUES (10, 1, 3), (20, 2, 4); INSERT INTO likes VALUES (100, 10), (200, 20)")
    before = [query(database_url, f"TABLE {table} ORDER BY 1") for table in ("contacts", "tags", "likes")]
    settings = {"collisions": ((None, "tags", "merge"), (None, "likes", "merge")), "references": references}
    merge(database_url, batch_size=1, **settings)
    drop_constraint(database_url, **settings)
    run(database_url, "INSERT INTO contacts VALUES (4, 9, 'a stranger')")

    assert restore(database_url, **settings).kept == (
        "public.contacts (id=4): stays in the archive, contacts_pkey (SQLSTATE 23505)",
        "public.tags (id=20): stays in the archive, what it refers to is not back",
        "public.likes (id=200): stays in the archive, what it refers to is not back",
    )
    assert query(database_url, "TABLE tags") == [(10, 1, 3)]
    run(database_url, "DELETE FROM contacts WHERE workspace_id = 9")
    assert restore(database_url, **settings).kept == ()
    assert [query(database_url, f"TABLE {table} ORDER BY 1") for table in ("contacts", "tags", "likes")] == before


AGENT = {
    "collisions": ((None, "tags", "merge"),),
    "references": (Reference(table="tags", column="agent", condition="tags.kind = 'c'"),),
}
TAG_20 = "public.tags (id=20): stays in the archive, what it refers to is not back"
WITH_JUNK = """
    CREATE TABLE contacts (junk int, id int PRIMARY KEY, workspace_id int, phone text);
    INSERT INTO contacts VALUES (0, 1, 1, 'a'), (0, 2, 1, 'a'), (0, 3, 1, 'b'), (0, 4, 1, 'b');
    CREATE TABLE tags (junk int, id int PRIMARY KEY, contact_id int UNIQUE REFERENCES contacts, agent int, kind text);
    INSERT INTO tags VALUES (0, 10, 1, 3, 'c'), (0, 20, 2, 4, 'c');
    ALTER TABLE contacts DROP junk; ALTER TABLE tags DROP junk;
"""


@pytest.mark.parametrize(
    "since",
    [
        "SELECT",
        "ALTER TABLE tags RENAME kind TO sort; ALTER TABLE tags ADD kind text DEFAULT 'c'",
        "ALTER TABLE tags ALTER agent TYPE text",
        "CREATE TABLE c2 (LIKE tags INCLUDING ALL); INSERT INTO c2 TABLE tags; DROP TABLE tags;"
        "ALTER TABLE c2 RENAME TO tags",
        "CREATE TABLE c2 (LIKE contacts INCLUDING ALL); INSERT INTO c2 TABLE contacts; DROP TABLE contacts CASCADE;"
        "ALTER TABLE c2 RENAME TO contacts",
    ],
    ids=["as it was", "column added", "column retyped", "table made again", "contacts made again"],
)
def test_whatever_has_become_of_the_tables_nothing_comes_back_to_a_stranger(database_url, since):
    run(database_url, WITH_JUNK)
    merge(database_url, batch_size=1, **AGENT)
    drop_constraint(database_url, **AGENT)
    run(database_url, since, "INSERT INTO contacts VALUES (4, 9, 'a stranger')")

    assert TAG_20 in restore(database_url, **AGENT).kept
    assert query(database_url, "SELECT id FROM tags") == [(10,)]
    run(database_url, "DELETE FROM contacts WHERE workspace_id = 9")
    assert restore(database_url, **AGENT).kept == ()
    assert query(database_url, "SELECT id, agent::text FROM tags ORDER BY 1") == [(10, "3"), (20, "4")]


def test_a_row_does_not_come_back_to_a_stranger_in_place_of_what_another_merge_archived(database_url):
    companies = {"table": "companies", "constraint": "unique_companies"}
    run(database_url, PAIR, PAIR.replace("contacts", "companies").replace("(1,", "(8,").replace("(2,", "(9,"))
    run(database_url, MESSAGES.replace("messages", "tags").replace("contacts)", "contacts UNIQUE)"))
    run(database_url, "ALTER TABLE tags ADD at int REFERENCES companies; INSERT INTO tags VALUES (10, 1, 8), (20, 2, 9)")
    merging = {"collisions": ((None, "tags", "merge"),)}
    merge(database_url, **merging)
    merge(database_url, **companies)
    drop_constraint(database_url, **merging)
    drop_constraint(database_url, **companies)
    run(database_url, "INSERT INTO companies VALUES (9, 9, 'a stranger')")

    assert len(restore(database_url, **companies).kept) == 1
    assert restore(database_url, **merging).kept == (TAG_20,)
    run(database_url, "DELETE FROM companies WHERE workspace_id = 9")
    assert restore(database_url, **companies).kept == ()
    assert restore(database_url, **merging).kept == ()
    assert query(database_url, "TABLE tags ORDER BY 1") == [(10, 1, 8), (20, 2, 9)]


def test_what_was_swept_up_at_the_end_never_leads_to_a_stranger(database_url):
    logs = (Reference(table="logs", column="contact_id"),)
    run(database_url, PAIR, "CREATE TABLE logs (id int PRIMARY KEY, contact_id int); INSERT INTO logs VALUES (5, 2)")
    merge(database_url, references=logs)
    run(database_url, "SET session_replication_role = replica; INSERT INTO logs VALUES (6, 2)")
    add_constraint(database_url, references=logs)
    assert query(database_url, "TABLE logs ORDER BY 1") == [(5, 1), (6, 1)]
    drop_constraint(database_url, references=logs)
    run(database_url, "INSERT INTO contacts VALUES (2, 1, 'a stranger')")

    assert len(restore(database_url, references=logs).kept) == 3
    assert query(database_url, "TABLE logs ORDER BY 1") == [(5, 1), (6, 1)]

    run(database_url, "DELETE FROM contacts WHERE phone = 'a stranger'")
    assert restore(database_url, references=logs).kept == ()
    assert query(database_url, "TABLE logs ORDER BY 1") == [(5, 2), (6, 2)]


def test_a_condition_may_name_columns_that_contacts_has_too(database_url):
    """The last look for such references asked for the condition beside the archive, where the name meant two things."""
    logs = (Reference(table="logs", column="contact_id", condition="email IS NULL AND id > 0"),)
    run(database_url, PAIR, "CREATE TABLE logs (id int PRIMARY KEY, contact_id int, email text)")
    run(database_url, "INSERT INTO logs VALUES (5, 2)")

    merge(database_url, references=logs)
    run(database_url, "SET session_replication_role = replica; INSERT INTO logs VALUES (6, 2, NULL), (7, 2, 'x')")
    add_constraint(database_url, references=logs)

    assert query(database_url, "SELECT id, contact_id FROM logs ORDER BY 1") == [(5, 1), (6, 1), (7, 2)]


def test_a_writer_in_the_midst_of_a_restore_is_waited_for_and_his_change_is_kept(database_url):
    run(database_url, TWO_PAIRS, MESSAGES, "INSERT INTO messages VALUES (7, 2), (8, 2)")
    merge(database_url)
    drop_constraint(database_url)
    kept = []
    with psycopg.connect(database_url) as writer:
        writer.execute("UPDATE messages SET contact_id = 3 WHERE id = 7")
        restoring = threading.Thread(target=lambda: kept.extend(restore(database_url, lock_timeout=60_000).kept))
        restoring.start()
        while not query(database_url, LOCKED):
            assert restoring.is_alive()
    restoring.join()

    assert query(database_url, "TABLE messages ORDER BY 1") == [(7, 3), (8, 2)]
    assert kept == ["public.messages (id=7): changed since, kept"]


def test_who_survived_an_earlier_run_has_no_advantage_in_this_one(database_url):
    """He may be deleted by now."""
    run(database_url, PAIR, "ALTER TABLE contacts ADD deleted_at date")
    merge(database_url, fill=("email",))
    drop_constraint(database_url)
    run(database_url, "UPDATE contacts SET deleted_at = '2026-01-01'; INSERT INTO contacts VALUES (3, 1, 'a', 'live')")

    merge(database_url, fill=("email",))

    assert query(database_url, "SELECT id FROM contacts") == [(3,)]


def test_a_composite_value_of_nulls_is_a_value(database_url):
    run(database_url, "CREATE TYPE place AS (street text, number int)")
    run(database_url, "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, name text, place place)")
    run(
        database_url,
        "INSERT INTO contacts VALUES (1, 1, 'a', NULL, '(,)'), (2, 1, 'a', 'Ann', NULL), (3, 1, 'a', '', '(x,1)')",
    )

    merge(database_url, fill=("name", "place"))

    assert query(database_url, "SELECT name, place::text FROM contacts") == [("Ann", "(,)")]
