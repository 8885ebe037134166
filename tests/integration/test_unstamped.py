"""A downgrade at which nothing is stamped tells what upgrades have left, and changes nothing."""

from __future__ import annotations

import re

import pytest

from sandbox.server_databases import filled_template
from sandbox.snapshot import difference, snapshot
from tests.migration.observed import ended, eventually, execute, held, kill, remains, rows, running, shown, value

CONTACTS = """
    CREATE TABLE {table} (id int PRIMARY KEY, workspace_id int, {phone} text, email text UNIQUE);
    INSERT INTO {table} VALUES (1, 1, '+15550000001', 'a@x'), (2, 1, '+15550000001', 'b@x'), (3, 2, '+15550000001', 'c@x');
"""
HERE = CONTACTS.format(table="contacts", phone="phone")
THERE = "CREATE SCHEMA crm;" + CONTACTS.format(table="crm.customers", phone="phone")
GUARDED = "SELECT count(*) = 2 FROM pg_trigger WHERE tgname LIKE 'contacts_schema_guard%'"
UNENDED = (
    'nothing is stamped here, yet an upgrade of "public.contacts" that has not ended is here: new duplicates are rejected; '
    "go on with `alembic upgrade head`, or `alembic stamp head` and `alembic downgrade base` take it back\n"
)
ALEMBIC = ("Context impl", "Will assume")
CUSTOMERS = ("-x", "schema=crm", "-x", "table=customers")


def said(done):
    """What was written to stderr but for Alembic's own lines, and without the time."""
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in done.stderr.splitlines(keepends=True)]
    return "".join(line for line in lines if not line.startswith(ALEMBIC))


def stopped(url):
    """Kill an upgrade with its guard up and one group merged, the other one not."""
    execute(url, HERE, "INSERT INTO contacts VALUES (4, 2, '+15550000001', 'd@x')")
    busy = "SELECT FROM contacts WHERE id IN (3, 4) FOR UPDATE"
    merged = "SELECT count(*) = 1 FROM contacts_schema.batch"
    with held(url, busy), running(url, "upgrade", "head", CONTACTS_SCHEMA_BATCH_SIZE="1") as process:
        eventually(lambda: shown(url, merged), "the first batch", unless=lambda: process.poll() is not None)
        kill(process)
        eventually(lambda: ended(url), "the end of the killed run's sessions")


@pytest.fixture(scope="module")
def stopped_template(postgres):
    with filled_template(postgres.url, stopped) as name:
        yield name


@pytest.fixture
def stopped_url(new_database, stopped_template):
    """A database in which an upgrade was killed, the test's own copy."""
    return new_database(stopped_template)


@pytest.mark.parametrize("target", ["base", "-1", "dedupe_contacts"])
def test_an_upgrade_that_was_stopped_half_way_is_told(alembic, stopped_url, target):
    before, left = snapshot(stopped_url), remains(stopped_url)

    done = alembic(stopped_url, "downgrade", target)

    assert (done.returncode, done.stdout, said(done)) == (1, "", UNENDED)
    assert value(stopped_url, GUARDED)
    assert (difference(before, snapshot(stopped_url)), remains(stopped_url)) == ([], left)


def test_both_ways_on_that_it_names_do_what_they_say(alembic, stopped_url):
    assert alembic(stopped_url, "stamp", "head").returncode == 0
    done = alembic(stopped_url, "downgrade", "base")

    assert done.returncode == 0, done.stderr
    assert rows(stopped_url, "SELECT id FROM contacts ORDER BY id") == [(1,), (2,), (3,), (4,)]
    assert remains(stopped_url) == []

    assert alembic(stopped_url, "upgrade", "head").returncode == 0
    assert value(stopped_url, "SELECT count(*) FROM contacts") == 2


def test_an_upgrade_that_was_stopped_before_anything_was_merged_is_told(alembic, database_url):
    execute(database_url, HERE)
    busy = "SELECT FROM contacts FOR UPDATE"
    with held(database_url, busy), running(database_url, "upgrade", "head") as process:
        eventually(lambda: shown(database_url, GUARDED), "the guard", unless=lambda: process.poll() is not None)
        kill(process)
        eventually(lambda: ended(database_url), "the end of the killed run's sessions")

    done = alembic(database_url, "downgrade", "base")

    assert (done.returncode, said(done)) == (1, UNENDED)


def test_an_upgrade_with_other_settings_is_told_with_these_settings(alembic, database_url):
    execute(database_url, HERE, THERE)
    assert alembic(database_url, *CUSTOMERS, "upgrade", "head").returncode == 0
    before = snapshot(database_url)

    done = alembic(database_url, "downgrade", "base")

    assert done.returncode == 1
    assert said(done) == (
        'nothing is stamped here, yet "contacts_schema" holds a merge of "crm.customers" that is not undone: '
        "downgrade with the settings of that upgrade (-x schema=crm -x table=customers)\n"
    )
    assert difference(before, snapshot(database_url)) == []

    done = alembic(database_url, *CUSTOMERS, "downgrade", "base")
    assert done.returncode == 0, done.stderr
    assert value(database_url, "SELECT count(*) FROM crm.customers") == 3
    done = alembic(database_url, "downgrade", "base")
    assert (done.returncode, said(done)) == (0, "")


def test_without_the_constraint_the_merge_is_still_told(alembic, database_url):
    execute(database_url, HERE, THERE)
    assert alembic(database_url, *CUSTOMERS, "upgrade", "head").returncode == 0
    assert alembic(database_url, *CUSTOMERS, "downgrade", "-1").returncode == 0

    done = alembic(database_url, "downgrade", "base")

    assert done.returncode == 1
    assert "(-x schema=crm -x table=customers)" in done.stderr


def test_a_table_that_lost_its_stamp_to_another_of_its_schema_is_told(alembic, database_url):
    execute(database_url, HERE, "ALTER TABLE contacts RENAME TO customers", HERE.replace("(1, 1", "(1, 9"))
    assert alembic(database_url, "-x", "table=customers", "upgrade", "head").returncode == 0
    alembic(database_url, "downgrade", "base")

    done = alembic(database_url, "downgrade", "base")

    way_back = "`alembic -x table=customers stamp head` and `alembic -x table=customers downgrade base`"
    assert done.returncode == 1
    assert said(done).endswith(f'"public.customers" that is not undone: {way_back} take it back\n')
    for command in (("stamp", "head"), ("downgrade", "base")):
        assert alembic(database_url, "-x", "table=customers", *command).returncode == 0
    assert value(database_url, "SELECT count(*) FROM customers") == 3


def test_odd_names_are_written_as_a_shell_and_the_settings_want_them(alembic, database_url):
    execute(database_url, CONTACTS.format(table='"my: \'list"', phone='"e.164"'))
    execute(database_url, 'CREATE SCHEMA other; ALTER TABLE "my: \'list" SET SCHEMA other')
    odd = ("-x", "schema=other", "-x", 'table="my: \'list"', "-x", 'phone_column="e.164"', "-x", 'private_schema="pri:v"')
    done = alembic(database_url, *odd, "upgrade", "head")
    assert done.returncode == 0, done.stderr

    done = alembic(database_url, "downgrade", "base")

    assert done.returncode == 1
    assert done.stderr.endswith(
        "(-x schema=other -x 'table=\"my: '\"'\"'list\"' -x 'phone_column=\"e.164\"' -x 'private_schema=\"pri:v\"')\n"
    )


@pytest.mark.parametrize("upgraded", [False, True])
def test_where_nothing_is_there_nothing_is_said(alembic, database_url, upgraded):
    execute(database_url, HERE)
    if upgraded:
        alembic(database_url, "upgrade", "head")
        alembic(database_url, "downgrade", "base")

    done = alembic(database_url, "downgrade", "base")

    assert (done.returncode, said(done)) == (0, "")


def test_rows_that_a_complete_downgrade_left_in_the_archive_are_told_and_no_error(alembic, database_url):
    execute(database_url, HERE)
    alembic(database_url, "upgrade", "head")
    execute(database_url, "UPDATE contacts SET email = 'b@x' WHERE id = 3")
    assert "stays in the archive" in alembic(database_url, "downgrade", "base").stderr

    done = alembic(database_url, "downgrade", "base")

    assert done.returncode == 0
    assert said(done) == (
        'nothing is stamped here; rows of "public.contacts" stay in the archive in "contacts_schema"; '
        "`alembic stamp dedupe_contacts` and `alembic downgrade base` try again\n"
    )

    execute(database_url, "UPDATE contacts SET email = 'c@x' WHERE id = 3")
    alembic(database_url, "stamp", "dedupe_contacts")
    assert alembic(database_url, "downgrade", "base").returncode == 0
    assert value(database_url, "SELECT count(*) FROM contacts") == 3


def test_other_commands_say_nothing_of_it(alembic, stopped_url):
    assert said(alembic(stopped_url, "current")) == ""
    assert alembic(stopped_url, "stamp", "base").returncode == 0
    assert alembic(stopped_url, "upgrade", "head").returncode == 0
