"""`contacts-schema verify`: finds what is wrong, and leaves no trace."""

from __future__ import annotations

import psycopg
import pytest

from sandbox.snapshot import difference, snapshot
from tests.migration.observed import execute, value
from tests.operator.conftest import parsed

CASES = [
    "duplicate phone in the same workspace",
    "same phone in another workspace",
    "another phone in the same workspace",
]
TABLE = "CREATE TABLE contacts (id serial PRIMARY KEY, workspace_id int NOT NULL, phone text)"
CONSTRAINT = "ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone)"


def results(command, url, *arguments):
    done = command(url, "verify", "--json", *arguments)
    found = parsed(done)
    assert done.returncode == (0 if found["ok"] else 1)
    return {check["name"]: check for check in found["checks"]}


def test_after_an_upgrade_everything_holds_and_nothing_is_left_of_the_look(crm_command, upgraded_url):
    sequences = (
        "SELECT array_agg((schemaname, sequencename, last_value) ORDER BY schemaname, sequencename) FROM pg_sequences"
    )
    before, numbers = snapshot(upgraded_url), value(upgraded_url, sequences)

    done = crm_command(upgraded_url, "verify")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "checks hold" in done.stdout
    assert difference(before, snapshot(upgraded_url)) == []
    assert value(upgraded_url, sequences) == numbers


def test_before_an_upgrade_it_says_what_is_missing(crm_command, crm_url):
    checks = results(crm_command, crm_url)

    assert checks["constraint"]["found"] == "no such constraint"
    assert checks["duplicates"]["ok"] is False
    assert checks[CASES[0]] == {
        "name": CASES[0],
        "ok": False,
        "expected": "rejected by unique_phone_workspace (SQLSTATE 23505)",
        "found": "allowed",
    }
    assert checks[CASES[1]]["ok"]
    assert checks[CASES[2]]["ok"]


@pytest.mark.parametrize(
    ("made", "check", "found"),
    [
        ("ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (phone)", "constraint", "UNIQUE (phone)"),
        (f"{CONSTRAINT} DEFERRABLE", "index", "deferrable"),
        ("CREATE UNIQUE INDEX unique_phone_workspace ON contacts (workspace_id, phone)", "constraint", "no such constraint"),
        ("CREATE INDEX unique_phone_workspace ON contacts (workspace_id, phone)", "index", "not unique"),
        ("ALTER TABLE contacts ADD CONSTRAINT one_phone UNIQUE (phone)", CASES[1], "rejected by one_phone (SQLSTATE 23505)"),
        ("ALTER TABLE contacts ADD CONSTRAINT one UNIQUE (workspace_id)", CASES[2], "rejected by one (SQLSTATE 23505)"),
    ],
)
def test_what_is_not_quite_the_constraint_is_found_out(command, database_url, made, check, found):
    execute(database_url, TABLE, made, "INSERT INTO contacts (workspace_id, phone) VALUES (1, '+15550000001')")

    result = results(command, database_url)[check]
    assert result["ok"] is False
    assert found in result["found"]


def test_an_index_that_is_not_valid_is_found_out(command, database_url):
    execute(database_url, TABLE, "INSERT INTO contacts (workspace_id, phone) VALUES (1, '1'), (1, '1')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(database_url, "CREATE UNIQUE INDEX CONCURRENTLY unique_phone_workspace ON contacts (workspace_id, phone)")

    checks = results(command, database_url)
    assert "not valid" in checks["index"]["found"]
    assert checks["duplicates"]["found"] == "1 group"


def test_references_that_lead_nowhere_are_counted(command, database_url):
    execute(
        database_url,
        TABLE,
        CONSTRAINT,
        "CREATE TABLE deals (id serial PRIMARY KEY, contact_id int)",
        "INSERT INTO contacts (workspace_id, phone) VALUES (1, '1')",
        "INSERT INTO deals (contact_id) VALUES (1), (7), (NULL)",
    )
    check = results(command, database_url, "-x", "references=deals.contact_id")["references"]
    assert (check["ok"], check["found"]) == (False, "1 row that lead nowhere")


def test_without_a_contact_one_is_made_up_from_the_catalog(command, database_url):
    execute(
        database_url,
        "CREATE TYPE kind AS ENUM ('person', 'company')",
        "CREATE DOMAIN short AS varchar(5) CHECK (value <> '')",
        "CREATE TABLE owners (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE)",
        "CREATE TABLE workspaces (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner uuid NOT NULL REFERENCES owners)",
        """CREATE TABLE contacts (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(), workspace_id int NOT NULL REFERENCES workspaces,
            phone text NOT NULL, email text NOT NULL UNIQUE, name short NOT NULL, kind kind NOT NULL, tags text[] NOT NULL,
            more jsonb NOT NULL, born date NOT NULL, "%odd" boolean NOT NULL, score numeric NOT NULL,
            long int GENERATED ALWAYS AS (length(phone)) STORED)""",
        CONSTRAINT,
    )
    before = snapshot(database_url)
    done = command(database_url, "verify")

    assert done.returncode == 0, done.stdout + done.stderr
    assert difference(before, snapshot(database_url)) == []
    assert value(database_url, "SELECT count(*) FROM pg_sequences WHERE last_value IS NOT NULL") == 0


def test_a_copy_keeps_what_checks_demand(command, database_url):
    execute(
        database_url,
        """CREATE TABLE contacts (
            id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workspace_id int NOT NULL, email text UNIQUE,
            phone text CHECK (phone ~ '^[+][1-9][0-9]{7,14}$'), kind text NOT NULL CHECK (kind IN ('a', 'b')))""",
        CONSTRAINT,
        "INSERT INTO contacts (workspace_id, email, phone, kind) VALUES (7, 'a@example.com', '+15550000001', 'b')",
    )
    assert all(check["ok"] for check in results(command, database_url).values())


@pytest.mark.parametrize(
    ("more", "unsure"),
    [
        ("CREATE UNIQUE INDEX ON contacts (workspace_id, lower(email))", []),
        ("CREATE UNIQUE INDEX ON contacts (workspace_id) WHERE email IS NOT NULL", []),
        ("ALTER TABLE contacts ADD CHECK (id > 0)", []),
        ("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
         "CREATE TRIGGER no BEFORE INSERT ON contacts FOR EACH ROW EXECUTE FUNCTION no()", CASES),
    ],
)  # fmt: skip
def test_what_else_rejects_a_row_says_nothing_about_the_constraint(command, database_url, more, unsure):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, email text)",
        CONSTRAINT,
        "INSERT INTO contacts VALUES (1, 1, '+15550000001', 'a@example.com')",
        more,
    )
    checks = results(command, database_url)

    assert [name for name, check in checks.items() if check["ok"] is None] == unsure
    assert not [name for name, check in checks.items() if check["ok"] is False]


def test_what_cannot_be_tried_says_why(command, database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int NOT NULL, phone text NOT NULL, place point NOT NULL)",
        CONSTRAINT,
    )
    check = results(command, database_url)[CASES[0]]
    assert (check["ok"], check["found"]) == (None, 'not tried: no value can be made up for "place" of type point')


def test_a_table_that_is_not_there_is_refused(command, database_url):
    done = command(database_url, "verify")
    assert done.returncode == 1
    assert 'there is no table "public.contacts"' in done.stderr


def test_no_phone_is_shown(crm_command, crm_url):
    done = crm_command(crm_url, "verify")
    assert "+1555" not in done.stdout + done.stderr
