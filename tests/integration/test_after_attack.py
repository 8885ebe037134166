"""What broke once under attack: each has its cause in the code that is named beside it."""

from __future__ import annotations

import psycopg
import pytest

from contacts_schema import execute
from contacts_schema.errors import Refused
from contacts_schema.report import Report, Silent
from contacts_schema.settings import Reference, Settings
from sandbox.trial import CONTACTS, merge, query, reasons, restore, round_trip, run


def constrain(url: str, **settings) -> Report:
    with psycopg.connect(url, autocommit=True) as connection:
        return execute.add_constraint(connection, Settings(**settings), Silent())


def test_soft_references_written_past_the_triggers_are_led_to_the_survivor(database_url):
    """A transaction may turn a row into a reference late, or a later trigger may set the id: both are swept."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE notes (id int PRIMARY KEY, owner_type text, owner_id bigint);"
        "CREATE TABLE calls (id int PRIMARY KEY, contact_id bigint);"
        "CREATE FUNCTION set_contact() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.contact_id := 2; RETURN NEW; END$$;"
        "CREATE TRIGGER set_contact BEFORE INSERT ON calls FOR EACH ROW EXECUTE FUNCTION set_contact();"
        "INSERT INTO notes VALUES (1, 'Company', 2)",
    )
    references = (
        Reference(table="notes", column="owner_id", condition="owner_type = 'Contact'"),
        Reference(table="calls", column="contact_id"),
    )
    merge(database_url, references=references)
    run(database_url, "UPDATE notes SET owner_type = 'Contact'", "INSERT INTO calls VALUES (1, NULL)")
    assert query(database_url, "SELECT owner_id FROM notes") == [(1,)]  # by the trigger, at once
    report = constrain(database_url, references=references)
    assert query(database_url, "SELECT contact_id FROM calls") == [(1,)]
    assert report.notes == ("1 rows of public.calls were led to survivors afterwards",)


def test_a_soft_reference_to_a_new_row_under_an_old_id_is_not_led_away(database_url):
    reference = Reference(table="calls", column="contact_id")
    run(database_url, CONTACTS, "CREATE TABLE calls (id int PRIMARY KEY, contact_id bigint)")
    merge(database_url, references=(reference,))
    run(
        database_url,
        "INSERT INTO contacts VALUES (2, 1, '+15550009', 'somebody new')",
        "INSERT INTO calls VALUES (1, 2)",
    )
    report = constrain(database_url, references=(reference,))
    assert query(database_url, "SELECT contact_id FROM calls") == [(2,)]
    assert report.notes == ()


def test_a_keyless_child_with_a_referenced_unique_key_is_no_obstacle(database_url):
    """forward.py asked for an archive of a table that cannot have one."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE cards (contact_id bigint UNIQUE REFERENCES contacts, code int UNIQUE);"
        "CREATE TABLE uses (id int PRIMARY KEY, contact_id bigint REFERENCES cards (contact_id));"
        "INSERT INTO cards VALUES (2, 10), (5, 11); INSERT INTO uses VALUES (1, 2), (2, 5)",
    )

    def moved() -> None:
        assert query(database_url, "SELECT contact_id FROM uses ORDER BY id") == [(1,), (5,)]

    round_trip(database_url, moved)


@pytest.mark.parametrize("order", ["name::int", "1 / (id - 3)"])
def test_an_order_that_fails_on_a_row_is_refused_before_the_first_change(database_url, order):
    """It is computed for every duplicate first; without a phone or a name in the message."""
    run(database_url, CONTACTS)
    (reason,) = reasons(database_url, survivor_order=order)
    assert reason.code == "bad_sql"
    assert reason.problem.startswith("survivor_order fails on a value of some row (SQLSTATE 22")


@pytest.mark.parametrize("order", ["count(*)", "id LIMIT 1", "nothing"])
def test_an_order_that_means_nothing_is_refused(database_url, order):
    run(database_url, CONTACTS)
    assert [reason.code for reason in reasons(database_url, survivor_order=order)] == ["bad_sql"]


@pytest.mark.parametrize("name", ["a%s", "a{}", 'a"b', "x" * 63, "é" * 31])
def test_any_name_will_do_for_the_private_schema(database_url, name):
    """Archive.close composed names by hand, and a UNION cut functions' names at 63 bytes."""
    run(database_url, CONTACTS)
    round_trip(database_url, private_schema=name)


def test_an_archive_under_another_name_is_not_overlooked(database_url):
    run(database_url, CONTACTS)
    merge(database_url, private_schema="here")
    with pytest.raises(Refused) as refused:
        restore(database_url, private_schema="there")
    assert [(reason.problem, reason.way_on) for reason in refused.value.reasons] == [
        ('the archive of this table is in the schema "here"', "set private_schema = here")
    ]
    restore(database_url, private_schema="here")


def test_a_read_only_database_is_respected(database_url):
    run(database_url, CONTACTS)
    name = query(database_url, "SELECT current_database()")[0][0]
    run(database_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert [reason.code for reason in reasons(database_url)] == ["read_only"]


def test_bringing_one_table_back_leaves_the_other_ones_guard(database_url):
    """Two tables may share the private schema; it goes when nothing of either is left in it."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE leads (LIKE contacts INCLUDING ALL); INSERT INTO leads SELECT * FROM contacts",
    )
    leads = {"table": "leads", "constraint": "unique_lead"}
    merge(database_url)
    merge(database_url, **leads)
    restore(database_url)
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(database_url, "INSERT INTO leads VALUES (99, 1, '+15550001', 'again')")
    restore(database_url, **leads)
    assert query(database_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'contacts_schema'") == []


def test_a_moved_key_that_a_merged_row_still_holds_is_refused(database_url):
    """Neither the key nor the row that holds it may go first; found before the first change, not in mid-merge."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE profiles (contact_id bigint PRIMARY KEY REFERENCES contacts);"
        "CREATE TABLE friends (profile bigint REFERENCES profiles, friend bigint REFERENCES contacts,"
        " PRIMARY KEY (profile, friend));"
        "INSERT INTO profiles VALUES (2), (4); INSERT INTO friends VALUES (2, 5), (2, 6)",
    )
    before = reasons(database_url)
    assert [reason.code for reason in before] == ["stranded"]


def test_a_table_without_statistics_is_analysed_first(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id int, phone text) WITH (autovacuum_enabled = off);"
        "INSERT INTO contacts SELECT g, 1, '+1555' || g / 2 FROM generate_series(2, 3001) AS g",
    )
    merge(database_url)
    assert query(database_url, "SELECT reltuples >= 0 FROM pg_class WHERE oid = 'contacts'::regclass") == [(True,)]


def test_a_generated_phone_cannot_be_turned_into_null(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, raw text,"
        " phone text GENERATED ALWAYS AS (lower(raw)) STORED)",
    )
    assert [reason.code for reason in reasons(database_url, blank_phones="null")] == ["blank_generated"]


def test_what_triggers_change_elsewhere_is_said(database_url):
    """Such rows are the triggers' own: neither journaled nor undone."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE counters (workspace_id bigint PRIMARY KEY, contacts int);"
        "INSERT INTO counters SELECT workspace_id, count(*) FROM contacts WHERE workspace_id IS NOT NULL GROUP BY 1;"
        "CREATE FUNCTION count_down() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " UPDATE counters SET contacts = contacts - 1 WHERE workspace_id = OLD.workspace_id; RETURN OLD; END$$;"
        "CREATE TRIGGER count_down AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION count_down()",
    )
    report = merge(database_url)
    assert report.notes == ('triggers change rows of "public.counters" as well; a downgrade leaves those as they are',)
