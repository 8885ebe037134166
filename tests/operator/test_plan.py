"""`contacts-schema plan`: its figures are those of the upgrade that follows, and it changes nothing."""

from __future__ import annotations

import re

import psycopg
import pytest

from contacts_schema.preview.look import preview
from contacts_schema.settings import Settings
from sandbox.snapshot import difference, snapshot
from tests.migration.observed import execute, rows, value
from tests.operator.conftest import parsed

TABLE = """
    CREATE TABLE contacts (
        id int PRIMARY KEY, workspace_id int, phone text, email text, created_at timestamptz DEFAULT now());
    CREATE TABLE messages (id serial PRIMARY KEY, contact_id int NOT NULL REFERENCES contacts ON DELETE CASCADE);
    CREATE INDEX ON messages (contact_id);
"""
ROWS = """
    INSERT INTO contacts VALUES
        (1, 1, '+15550000001', NULL, '2026-01-01'), (2, 1, '+15550000001', 'a@example.com', '2026-01-02'),
        (3, 1, '+15550000001', 'b@example.com', '2026-01-03'), (4, 2, '+15550000001', NULL, '2026-01-01'),
        (5, 2, '+15550000002', NULL, '2026-01-01'), (6, 2, '+15550000002', NULL, '2026-01-02'),
        (7, 2, '+1 555 000-0002', NULL, '2026-01-01');
    INSERT INTO messages (contact_id) SELECT contact FROM generate_series(1, 7) AS contact, generate_series(1, contact);
    ANALYZE;
"""


@pytest.fixture
def url(database_url):
    execute(database_url, TABLE, ROWS)
    return database_url


def test_it_shows_what_there_is_to_do(command, url):
    done = command(url, "plan", "--json")
    found = parsed(done)

    assert done.returncode == 2
    assert (found["state"], found["rows"], found["groups"], found["duplicates"]) == ("duplicates", 7, 2, 3)
    assert found["biggest"][0] == {"key": ["1"], "phone": "***01", "rows": 3}
    assert found["workspaces"] == [
        {"key": ["1"], "groups": 1, "duplicates": 2},
        {"key": ["2"], "groups": 1, "duplicates": 1},
    ]
    assert found["fillable"] == {"email": 1}
    assert found["near"] == 1
    assert found["references"] == [
        {
            "table": "public.messages",
            "columns": "contact_id",
            "parent": "public.contacts",
            "found": "foreign key",
            "rows": 28,
            "refers": 11,
        }
    ]
    assert found["survivor_order"] == '"created_at"'


def test_it_agrees_with_the_upgrade_that_follows(crm_command, upgraded, crm_url):
    found = parsed(crm_command(crm_url, "plan", "--json"))
    said = upgraded(crm_url, "upgrade", "head").stderr

    summary = re.search(r"duplicates merged: ([\d,]+) groups?, ([\d,]+) rows? merged, ([\d,]+) rows? archived", said)
    groups, merged, archived = (int(count.replace(",", "")) for count in summary.groups())
    changed = dict(re.findall(r"(\w+\.\w+) ([\d,]+)", re.search(r"rows changed: (.*)", said)[1]))
    changes = {change["table"]: change for change in found["changes"]}
    assert (found["groups"], found["duplicates"]) == (groups, merged)
    assert sum(change["merged"] for change in found["changes"]) == archived
    assert {t: c["changed"] for t, c in changes.items() if c["changed"]} == {
        table: int(count.replace(",", "")) for table, count in changed.items()
    }


def test_it_changes_nothing_and_could_not(crm_command, crm_url):
    before = snapshot(crm_url)
    written = value(crm_url, "SELECT pg_current_wal_insert_lsn()")

    assert crm_command(crm_url, "plan").returncode == 2

    assert difference(before, snapshot(crm_url)) == []
    assert value(crm_url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'contacts_schema'") == 0
    assert value(crm_url, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn < 1000000", written)


def test_the_transaction_is_read_only(url):
    """Whatever is asked once the session's own tables are there could not write."""
    seen = []

    def look(connection, settings):
        connection.add_notice_handler(lambda notice: seen.append(notice.message_primary))
        return preview(connection, settings)

    execute(
        url,
        "CREATE FUNCTION told(int) RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING '%', current_setting('transaction_read_only'); RETURN $1; END $$",
    )
    with psycopg.connect(url, autocommit=True) as connection:
        assert look(connection, Settings(survivor_order="public.told(id)")).groups == 2
    assert set(seen) == {"on"}


def test_an_order_that_writes_is_refused_by_the_server(command, url):
    execute(
        url,
        "CREATE TABLE said (id int)",
        "CREATE FUNCTION says(int) RETURNS int LANGUAGE sql AS 'INSERT INTO said VALUES ($1) RETURNING id'",
    )
    done = command(url, "plan", "-x", "survivor_order=public.says(id)")

    assert done.returncode == 1
    assert value(url, "SELECT count(*) FROM said") == 0


def test_no_phone_is_shown_unless_asked_for(command, url):
    for arguments in (["plan"], ["plan", "--json"]):
        done = command(url, *arguments)
        assert "5550000" not in done.stdout + done.stderr
        assert "+15550000001" in command(url, *arguments, "--show-phones").stdout


def test_without_duplicates_the_constraint_is_still_to_be_added(command, database_url):
    execute(database_url, TABLE)
    done = command(database_url, "plan", "--json")

    assert (done.returncode, parsed(done)["state"]) == (2, "unique")


def test_with_the_constraint_there_is_nothing_to_do(command, upgraded, url):
    upgraded(url, "upgrade", "head")
    done = command(url, "plan", "--json")

    assert (done.returncode, parsed(done)["state"]) == (0, "constrained")
    assert "nothing to do" in command(url, "plan").stdout


def test_every_reason_to_refuse_is_shown_with_the_way_on(command, url):
    execute(
        url,
        "CREATE TABLE deals (id serial PRIMARY KEY, contact_id int)",
        "INSERT INTO contacts VALUES (8, 1, ' ')",
    )
    done = command(url, "plan")
    found = parsed(command(url, "plan", "--json"))

    assert done.returncode == 1
    assert {reason["code"] for reason in found["reasons"]} == {"suspect", "blank_phones"}
    assert found["blank_phones"] == 1
    assert {(r["table"], r["found"]) for r in found["references"]} == {
        ("public.messages", "foreign key"),
        ("public.deals", "suspect"),
    }
    for reason in found["reasons"]:
        assert reason["way_on"] in done.stdout


def test_declared_references_are_counted_as_such(command, url):
    execute(
        url, "CREATE TABLE deals (id serial PRIMARY KEY, contact_id int)", "INSERT INTO deals (contact_id) VALUES (1), (2)"
    )
    found = parsed(command(url, "plan", "--json", "-x", "references=deals.contact_id"))

    (deals,) = [reference for reference in found["references"] if reference["table"] == "public.deals"]
    assert (deals["found"], deals["refers"]) == ("declared", 1)


def test_what_an_interrupted_upgrade_has_left_is_said(command, upgraded, url):
    upgraded(url, "upgrade", "dedupe_contacts")
    assert "an upgrade has begun here" in parsed(command(url, "plan", "--json"))["notes"][0]


def test_what_fill_changes_is_counted_and_fires(command, upgraded, url):
    execute(
        url,
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER filled AFTER UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION noted()",
    )
    found = parsed(command(url, "plan", "--json", "-x", "fill=email"))
    said = upgraded(url, "-x", "fill=email", "upgrade", "head").stderr

    (contacts,) = [change for change in found["changes"] if change["table"] == "public.contacts"]
    assert contacts["changed"] == 1
    assert "public.contacts 1" in said
    assert [listener["name"] for listener in found["listeners"]] == ["filled"]


def test_which_database_and_which_settings_it_is_for_is_said(command, url):
    found = parsed(command(url, "plan", "--json", "-x", "blank_phones=null", "-x", "ignore_references=a.b, c.d"))
    assert url.endswith(found["database"])
    assert found["role"] == "postgres"
    assert found["settings"] == {"blank_phones": "null", "ignore_references": "a.b, c.d"}
    assert found["database"] in command(url, "plan").stdout


def test_triggers_and_publications_of_changed_tables_are_named(command, url):
    execute(
        url,
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER moved AFTER UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE TRIGGER added AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE TRIGGER gone AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE PUBLICATION realtime FOR TABLE contacts",
    )
    found = parsed(command(url, "plan", "--json"))

    assert {(each["table"], each["kind"], each["name"]) for each in found["listeners"]} == {
        ("public.messages", "trigger", "moved"),
        ("public.contacts", "trigger", "gone"),
        ("public.contacts", "publication", "realtime"),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "-x", "tabel=people"], "did you mean table?"),
        (["plan", "-x", "table=people"], 'there is no table "public.people"'),
        (["plan", "--jsn"], "No such option"),
        (["plan", "-x", "fill=email", "-x", "fill=id"], "-x fill is given twice"),
        (["plan", "-x", "references=deals.contact_id where kind = '...'"], "has '...' in its condition"),
        (["plan", "-c", "nowhere.ini"], "does not exist"),
        (["plan", "extra"], "unexpected extra argument"),
        (["plann"], "No such command"),
    ],
)
def test_bad_input_is_a_clear_error_and_never_taken_for_work_to_do(command, url, arguments, said):
    done = command(url, *arguments)

    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_database_it_says_so(command):
    assert command("", "plan").stderr.startswith("DATABASE_URL is not set")
    assert command("postgresql://u:secret@127.0.0.1:1/x", "plan").stderr.startswith("no connection to the database")


def test_settings_come_from_alembic_ini_too(command, elsewhere, url):
    execute(url, "ALTER TABLE contacts RENAME TO people")
    elsewhere.joinpath("alembic.ini").write_text("[alembic]\n[contacts_schema]\ntable = people\n")
    assert parsed(command(url, "plan", "--json"))["table"] == "public.people"

    elsewhere.joinpath("other.ini").write_text("[alembic]\n[contacts_schema]\ntable = persons\n")
    assert parsed(command(url, "plan", "--json", "-c", "other.ini"))["reasons"][0]["code"] == "no_table"


def test_names_with_brackets_are_shown_as_they_are(command, url):
    execute(url, 'ALTER TABLE contacts RENAME TO "con[bold]tacts"')
    assert "con[bold]tacts" in command(url, "plan", "-x", 'table="con[bold]tacts"').stdout


def test_rows_are_left_alone_where_nothing_was_analysed(command, database_url):
    execute(database_url, TABLE)
    found = parsed(command(database_url, "plan", "--json"))
    assert found["rows"] is None
    assert "never analysed" in found["notes"][0]
    assert rows(database_url, "SELECT reltuples FROM pg_class WHERE relname = 'contacts'") == [(-1,)]


def test_a_phone_in_the_settings_is_masked(command, url):
    execute(url, "CREATE TABLE deals (id serial PRIMARY KEY, contact_id int, kind text)")
    condition = "references=deals.contact_id where kind <> '+15550009999'"
    for arguments in ([], ["--json"]):
        assert "5550009999" not in command(url, "plan", "-x", condition, *arguments).stdout


def test_who_can_read_alembics_table_is_told(crm_command, crm_url):
    """The sample CRM has roles and default privileges as Supabase's projects have."""
    told = 'REVOKE ALL ON "public"."alembic_version" FROM "anon", "authenticated"'

    def notes() -> str:
        return " ".join(parsed(crm_command(crm_url, "plan", "--json"))["notes"])

    assert told in notes()
    execute(crm_url, "CREATE TABLE alembic_version (version_num text)")
    assert told in notes()
    execute(crm_url, "REVOKE ALL ON alembic_version FROM anon, authenticated")
    assert "alembic_version" not in notes()


def test_a_limit_of_the_role_is_told(crm_command, crm_url):
    limited = f"{crm_url}?options=-c%20statement_timeout%3D8s"
    notes = parsed(crm_command(limited, "plan", "--json"))["notes"]
    assert "statement_timeout is 8000ms for this role; a run puts it aside for its own session" in notes
