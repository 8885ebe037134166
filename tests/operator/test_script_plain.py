"""`alembic upgrade head --sql` without a database to look at: the plain case works, every other one is stopped."""

from __future__ import annotations

import psycopg
import pytest

from contacts_schema.errors import OfflineUnavailable
from contacts_schema.rendering.plain import PlainScript
from contacts_schema.settings import Settings
from sandbox.proofs import constraint_is_valid
from sandbox.server_databases import database
from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure
from tests.migration.observed import execute, rows
from tests.operator.scripts import DOWN, UP, paste, render, rendered
from tests.operator.test_script import ODD, archived

TABLES = (
    "CREATE TABLE contacts (name text, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workspace_id uuid NOT NULL,"
    " phone text, created_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz)",
    "CREATE TABLE messages (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text, contact_id bigint NOT NULL"
    " REFERENCES contacts ON DELETE CASCADE, cc_contact_id bigint REFERENCES contacts)",
    "CREATE TABLE notes (kind int, nr int, contact_id bigint, PRIMARY KEY (kind, nr))",
    "INSERT INTO contacts (name, workspace_id, phone, created_at, deleted_at) "
    "SELECT 'n' || n, (repeat((n % 2)::text, 8) || '-0000-4000-8000-000000000000')::uuid, "
    "nullif('+1555' || n % 7, '+15553'), timestamptz '2020-01-01' - n * interval '1 day', "
    "CASE WHEN n % 3 = 0 THEN now() END FROM generate_series(1, 40) AS n",
    "INSERT INTO messages (id, body, contact_id, cc_contact_id) "
    "SELECT md5(n::text)::uuid, 'm' || n, 1 + n % 40, nullif(1 + n % 23, 5) FROM generate_series(1, 90) AS n",
    "INSERT INTO notes SELECT n % 3, n, 1 + n % 40 FROM generate_series(1, 60) AS n",
)
KNOWN = {"CONTACTS_SCHEMA_REFERENCES": "messages.contact_id; messages.cc_contact_id; notes.contact_id"}


@pytest.fixture
def plain_url(database_url):
    execute(database_url, *TABLES)
    return database_url


def script(**env: str) -> str:
    return rendered("", *UP, **{**KNOWN, **env})


def test_it_does_what_the_upgrade_does(upgraded, postgres, plain_url):
    paste(plain_url, script())
    with database(postgres.url) as other:
        execute(other, *TABLES)
        execute(other, "UPDATE contacts SET deleted_at = deleted_at")
        upgraded(other, "upgrade", "head", **KNOWN)
        left = "SELECT id, name FROM contacts ORDER BY id"
        assert rows(other, left) == rows(plain_url, left)
        assert archived_rows(other) == archived_rows(plain_url)
        led = "SELECT id, contact_id, cc_contact_id FROM messages ORDER BY id"
        assert rows(other, led) == rows(plain_url, led)
    assert constraint_is_valid(plain_url)
    assert rows(plain_url, "TABLE alembic_version") == [("unique_phone_workspace",)]


def archived_rows(url: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        f'SELECT * FROM (SELECT id, name, "~into2", "~unit" FROM contacts_schema.{archive(url)}) AS a ORDER BY 1',
    )


def archive(url: str) -> str:
    ((name,),) = rows(url, "SELECT name FROM contacts_schema.relation WHERE kind = 'archive'")
    return str(name)


@pytest.mark.parametrize("by_script", [True, False])
def test_it_is_taken_back(upgraded, plain_url, by_script):
    before, made = snapshot(plain_url), structure(plain_url)
    paste(plain_url, script())
    if by_script:
        paste(plain_url, rendered(plain_url, *DOWN, **KNOWN))
    else:
        upgraded(plain_url, "downgrade", "base", **KNOWN)
    execute(plain_url, "DROP TABLE alembic_version")
    assert difference(before, snapshot(plain_url)) == []
    assert structure(plain_url) == made


def test_nobody_else_reads_the_archive(plain_url):
    execute(plain_url, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC")
    paste(plain_url, script())
    open_ones = rows(
        plain_url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'contacts_schema'::regnamespace AND relkind = 'r'"
        " AND (NOT relrowsecurity OR array_to_string(relacl, ',') ~ '(^|,)=')",
    )
    assert open_ones == []
    assert archived(plain_url)


STOPS = {
    "a reference that it was not told of": (
        "CREATE TABLE deals (id int PRIMARY KEY, owner bigint REFERENCES contacts)",
        "referred to by what this script does not know: deals",
    ),
    "a reference of two columns": (
        "ALTER TABLE contacts ADD UNIQUE (id, workspace_id);"
        "CREATE TABLE deals (id int PRIMARY KEY, a bigint, b uuid,"
        " FOREIGN KEY (a, b) REFERENCES contacts (id, workspace_id))",
        "referred to by what this script does not know: deals",
    ),
    "a look-alike": ("CREATE TABLE deals (id int PRIMARY KEY, contact_id bigint)", "public.deals.contact_id may refer to"),
    "a unique key with the reference in it": (
        "ALTER TABLE messages ADD UNIQUE (contact_id, body)",
        "more is to be known of",
    ),
    "a trigger that sets more": (
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER t BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION t()",
        "more is to be known of public.notes.contact_id",
    ),
    "a trigger that moves a reference back": (
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER t AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION t()",
        "more is to be known of public.notes.contact_id",
    ),
    "a trigger that removes more": (
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM messages; RETURN NULL; END';"
        "CREATE TRIGGER t AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION t()",
        "is at work where rows are removed: t",
    ),
    "a rule": (
        "CREATE RULE r AS ON UPDATE TO notes DO ALSO NOTIFY changed",
        "more is to be known of public.notes.contact_id",
    ),
    "a reference of another type": (
        "ALTER TABLE notes ALTER contact_id TYPE text",
        "more is to be known of public.notes.contact_id",
    ),
    "foreign keys that nobody checks": ("ALTER TABLE messages DISABLE TRIGGER ALL", "more is to be known of"),
    "no primary key": ("ALTER TABLE notes DROP CONSTRAINT notes_pkey", "more is to be known of public.notes.contact_id"),
    "a row that a constraint of the contacts would not take": (
        "ALTER TABLE contacts ADD CONSTRAINT named CHECK (name <> 'n3') NOT VALID",
        "could be neither changed nor brought back: contacts (named)",
    ),
    "a row that a constraint of a reference would not take": (
        "ALTER TABLE messages ADD CONSTRAINT said CHECK (body <> 'm3') NOT VALID",
        "could be neither changed nor brought back: messages (said)",
    ),
    "an index that a build left invalid": (
        "CREATE UNIQUE INDEX half ON contacts (id, name);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass",
        "could not be brought back: half",
    ),
    "blank phones": ("UPDATE contacts SET phone = ' ' WHERE id = 4", "1 rows of public.contacts have a blank phone"),
    "a trigger that keeps rows": (
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER t BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION t()",
        "is at work where rows are removed: t",
    ),
    "no such table": ("ALTER TABLE contacts RENAME TO people", "there is no table public.contacts"),
    "no such column": ("ALTER TABLE contacts RENAME phone TO number", "public.contacts has no column phone"),
    "an archive": ("CREATE SCHEMA contacts_schema", "was begun or done here before"),
}


@pytest.mark.parametrize("case", STOPS)
def test_what_it_does_not_know_stops_it(plain_url, case):
    change, message = STOPS[case]
    execute(plain_url, change)
    before, made = snapshot(plain_url), structure(plain_url)
    with pytest.raises(psycopg.errors.RaiseException) as stopped:
        paste(plain_url, script())
    assert message in str(stopped.value)
    assert difference(before, snapshot(plain_url)) == []
    assert structure(plain_url) == made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FILL", "name"),
        ("BLANK_PHONES", "null"),
        ("COLLISIONS", "messages=merge"),
        ("REFERENCES", "notes.contact_id where kind = 1"),
    ],
)
def test_settings_that_want_a_look_are_refused(name, value):
    done = render("", *UP, **{f"CONTACTS_SCHEMA_{name}": value})
    assert (done.returncode, done.stdout) == (1, "")
    assert "set it, so that the tables can be looked at" in done.stderr


def test_that_nothing_was_looked_at_is_said():
    assert (
        "DATABASE_URL is not set: the script is rendered without a look"
        in render("", *UP, CONTACTS_SCHEMA_REFERENCES="").stderr
    )


def test_a_downgrade_wants_a_look():
    done = render("", *DOWN)
    assert (done.returncode, done.stdout) == (1, "")
    assert "set DATABASE_URL" in done.stderr


def test_the_survivor_is_by_the_order_that_is_given(plain_url):
    paste(plain_url, script(CONTACTS_SCHEMA_SURVIVOR_ORDER="id DESC"))
    kept = f'SELECT count(*) FROM contacts_schema."{archive(plain_url)}" WHERE "~into2" < id'
    assert rows(plain_url, kept) == [(0,)]


@pytest.mark.parametrize("name", ODD)
def test_names_of_any_kind(database_url, name):
    quoted = '"' + name.replace('"', '""') + '"'
    execute(
        database_url,
        f"CREATE TABLE {quoted} (id int PRIMARY KEY, workspace_id int, {quoted} text, created_at int)",
        f"CREATE TABLE child (id int PRIMARY KEY, {quoted} int REFERENCES {quoted})",
        f"INSERT INTO {quoted} VALUES (1, 1, '+15550001', 2), (2, 1, '+15550001', 1)",
        "INSERT INTO child VALUES (1, 1), (2, 2)",
    )
    before = snapshot(database_url)
    given = {
        "CONTACTS_SCHEMA_TABLE": quoted,
        "CONTACTS_SCHEMA_PHONE_COLUMN": quoted,
        "CONTACTS_SCHEMA_REFERENCES": f"child.{quoted}",
    }
    paste(database_url, rendered("", *UP, **given))
    assert rows(database_url, f"SELECT id FROM {quoted}") == [(2,)]
    assert rows(database_url, "SELECT * FROM child ORDER BY id") == [(1, 2), (2, 2)]
    paste(database_url, rendered(database_url, *DOWN, **{**given, "CONTACTS_SCHEMA_REFERENCES": ""}))
    assert difference(before, snapshot(database_url)) == []


def test_a_name_with_a_dot_is_no_other_table(database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "INSERT INTO contacts VALUES (1, 1, '+15550001'), (2, 1, '+15550001')",
        'CREATE SCHEMA "public.x"',
        'CREATE TABLE "x.y" (id int PRIMARY KEY, z int)',
        'CREATE TABLE "public.x".y (id int PRIMARY KEY, z int)',
        'INSERT INTO "x.y" VALUES (1, 2)',
        'INSERT INTO "public.x".y VALUES (1, 2)',
    )
    paste(database_url, rendered("", *UP, CONTACTS_SCHEMA_REFERENCES='"x.y".z'))
    assert rows(database_url, 'SELECT z FROM "x.y"') == [(1,)]
    assert rows(database_url, 'SELECT z FROM "public.x".y') == [(2,)]


def test_a_flag_of_a_domain_counts_too(database_url):
    execute(
        database_url,
        "CREATE DOMAIN flag AS boolean",
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, is_deleted flag)",
        "INSERT INTO contacts VALUES (1, 1, '+15550001', true), (2, 1, '+15550001', false)",
    )
    paste(database_url, rendered("", *UP, CONTACTS_SCHEMA_REFERENCES=""))
    assert rows(database_url, "SELECT id FROM contacts") == [(2,)]


def test_a_key_of_three_columns_wants_a_look():
    with pytest.raises(OfflineUnavailable, match="a key of other than two columns"):
        PlainScript(Settings(columns=("workspace_id", "email", "phone")))
