"""`contacts-schema where` and `purge`: what the archive knows, and how to let go of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from contacts_schema.archived.purge import purge
from contacts_schema.errors import Refused
from contacts_schema.report import Silent
from contacts_schema.run_lock import lock_key
from contacts_schema.settings import Settings
from tests.migration.observed import eventually, execute, rows, value
from tests.operator.conftest import parsed

# Polling leaves no lock to be seen that is waited for.
ASKED_FOR = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'contacts_schema' AND query LIKE '%pg_try_advisory_lock%')
"""
TABLE = """
    CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, name text, created_at timestamptz);
    CREATE TABLE messages (id serial PRIMARY KEY, contact_id int NOT NULL REFERENCES contacts ON DELETE CASCADE);
    CREATE INDEX ON messages (contact_id);
    INSERT INTO contacts VALUES
        (1, 1, '+15550000001', 'Ann', '2026-01-01'), (2, 1, '+15550000001', '+1 555 000 0001', '2026-01-02'),
        (3, 2, '+15550000001', 'Bob', '2026-01-01'), (9, 1, '+15550000009', 'Zoe', '2025-01-01');
    INSERT INTO messages (contact_id) VALUES (1), (2), (2), (3);
"""


@pytest.fixture
def url(database_url, upgraded):
    execute(database_url, TABLE)
    upgraded(database_url, "upgrade", "head")
    return database_url


def test_a_merged_contact_is_followed_with_what_went_with_it(command, url):
    done = command(url, "where", "2", "--json")
    found = parsed(done)

    assert (done.returncode, found["today"]) == (0, "1")
    (merge,) = found["merges"]
    assert (merge["into"], merge["archive"]) == ("1", "contacts_schema.archive_1_contacts")
    assert merge["followed"] == {"public.messages": 2}
    assert merge["held"] == {
        "id": 2,
        "workspace_id": 1,
        "phone": "***01",
        "name": "...",
        "created_at": merge["held"]["created_at"],
    }
    text = command(url, "where", "2").stdout
    assert "2 was merged into 1" in text
    assert "2 rows of public.messages went with it" in text
    assert "5550000" not in text
    assert "+15550000001" in command(url, "where", "2", "--show-phones").stdout


def test_no_column_shows_a_phone_unless_asked_for_and_dates_are_shown(command, upgraded, database_url):
    execute(
        database_url,
        "CREATE TABLE contacts"
        " (id uuid PRIMARY KEY, workspace_id int, phone text, meta jsonb, more text[], mobile bigint, at date)",
        *(
            f"INSERT INTO contacts VALUES ('1c20b9e4-2ab4-4000-8000-00000000000{n}', 1, '12345',"
            """ '{"m": "+15557654321"}', '{+15557654321}', 15557654321, '2026-01-02')"""
            for n in (1, 2)
        ),
    )
    upgraded(database_url, "upgrade", "head")
    execute(database_url, "ALTER TABLE contacts RENAME phone TO tel")
    merged = "1c20b9e4-2ab4-4000-8000-000000000002"
    for arguments in ([], ["--json"]):
        shown = command(database_url, "where", merged, "-x", "phone_column=tel", *arguments).stdout
        assert "5557654321" not in shown
        assert "12345" not in shown
        assert "2026-01-02" in shown
        assert merged in shown


def test_an_archive_by_another_name_is_not_overlooked(command, upgraded, database_url):
    execute(database_url, TABLE)
    upgraded(database_url, "-x", "private_schema=other", "upgrade", "head")
    for arguments in (["where", "2"], ["purge", "--older-than", "0d", "--yes"]):
        done = command(database_url, *arguments)
        assert (done.returncode, "set private_schema = other" in done.stderr) == (1, True)


def test_over_several_merges_to_the_contact_of_today(command, upgraded, url):
    execute(
        url,
        "ALTER TABLE contacts DROP CONSTRAINT unique_phone_workspace",
        "UPDATE contacts SET phone = '+15550000009' WHERE id = 1",
    )
    upgraded(url, "stamp", "base")
    upgraded(url, "upgrade", "head")
    found = parsed(command(url, "where", "2", "--json"))

    assert [(merge["contact"], merge["into"]) for merge in found["merges"]] == [("2", "1"), ("1", "9")]
    assert found["today"] == "9"


@pytest.mark.parametrize(("contact", "said", "code"), [("1", "1 is there", 0), ("77", "77 is not there", 1)])
def test_others_are_where_they_are(command, url, contact, said, code):
    done = command(url, "where", contact)
    assert (done.returncode, said in done.stdout) == (code, True)


def test_without_an_archive_nothing_is_known(command, database_url):
    execute(database_url, TABLE)
    assert "2 is there" in command(database_url, "where", "2").stdout


def test_what_is_old_is_purged_and_cannot_be_brought_back(command, upgraded, url):
    execute(url, "UPDATE contacts_schema.batch SET at = at - interval '31 days'")

    done = command(url, "purge", "--older-than", "30d", "--yes")

    assert done.returncode == 0, done.stderr
    assert "3 archived rows and journal entries deleted" in done.stdout
    assert value(url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'contacts_schema'") == 0
    assert command(url, "where", "2").returncode == 1
    upgraded(url, "downgrade", "base")
    assert rows(url, "SELECT id FROM contacts ORDER BY id") == [(1,), (3,), (9,)]


def test_nothing_is_purged_unasked(command, url):
    done = command(url, "purge", "--older-than", "0d")
    assert (done.returncode, "give --yes" in done.stderr) == (1, True)
    assert value(url, "SELECT count(*) FROM contacts_schema.archive_1_contacts") == 1


def test_what_is_younger_stays(command, upgraded, url):
    done = command(url, "purge", "--older-than", "1h", "--yes")

    assert done.stdout == "0 archived rows and journal entries deleted\n"
    upgraded(url, "downgrade", "base")
    assert value(url, "SELECT count(*) FROM contacts") == 4


def test_nothing_is_purged_while_an_upgrade_is_not_complete(command, upgraded, database_url):
    execute(database_url, TABLE)
    upgraded(database_url, "upgrade", "dedupe_contacts")
    execute(database_url, "UPDATE contacts_schema.batch SET at = at - interval '31 days'")

    early = command(database_url, "purge", "--older-than", "30d", "--yes")

    assert (early.returncode, "the constraint is not there" in early.stderr) == (1, True)
    assert value(database_url, "SELECT count(*) FROM contacts_schema.archive_1_contacts") == 1


def test_a_purge_decides_by_what_is_there_when_its_turn_has_come(url):
    execute(url, "UPDATE contacts_schema.batch SET at = at - interval '31 days'")
    key = lock_key(value(url, "SELECT 'contacts'::regclass::oid::bigint"))

    with (
        psycopg.connect(url, autocommit=True) as connection,
        psycopg.connect(url, autocommit=True) as downgrade,
        ThreadPoolExecutor(max_workers=1) as threads,
    ):
        downgrade.execute("SELECT pg_advisory_lock(%s, %s)", key)
        purged = threads.submit(purge, connection, Settings(), "30 days", Silent(), lambda _: True)
        eventually(lambda: value(url, ASKED_FOR), "the wait", unless=purged.done)
        downgrade.execute("ALTER TABLE contacts DROP CONSTRAINT unique_phone_workspace")
        downgrade.execute("SELECT pg_advisory_unlock(%s, %s)", key)
        with pytest.raises(Refused, match="the constraint is not there"):
            purged.result(60)
    assert value(url, "SELECT count(*) FROM contacts_schema.archive_1_contacts") == 1


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1.5d", "30 d", "99999d", "1y"])
def test_an_age_that_is_none_is_a_clear_error_before_anything_is_asked(command, age):
    done = command("postgresql://nobody@127.0.0.1:1/nowhere", "purge", "--older-than", age, "--yes")
    assert done.returncode == 1
    assert "such as 30d" in done.stderr
