"""`--sql`: the same merge as one script, for those who have no shell beside the database."""

from __future__ import annotations

import re
from contextlib import contextmanager

import psycopg
import pytest

from contacts_schema.rendering.upgrade import UpgradeScript
from contacts_schema.settings import Settings
from sandbox import crm
from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.server_databases import database
from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure
from tests.migration.observed import execute, rows, value
from tests.operator.scripts import DOWN, UP, paste, render, rendered

# Our own numbers, and what a row holds since: a trigger stamps it with the time.
NOISE = "'^~(op|id|row|unit|[np][0-9]+)$'"


def archived(url: str) -> dict[str, list[str]]:
    """Every archived row and journal entry, by the kind and the table that it is of, without our own numbers."""
    found: dict[str, list[str]] = {}
    query = "SELECT name, kind || ' ' || source_name FROM contacts_schema.relation ORDER BY id"
    for name, what in rows(url, query):
        columns = value(
            url,
            "SELECT string_agg(format('%%I', attname), ', ' ORDER BY attnum) FROM pg_attribute "
            f"WHERE attrelid = format('contacts_schema.%%I', %s::text)::regclass AND attnum > 0 AND attname !~ {NOISE}",
            name,
        )
        found[what] = sorted(row[0] for row in rows(url, f'SELECT ROW({columns})::text FROM contacts_schema."{name}"'))
    return found


def unlike(url: str, other: str) -> list[str]:
    """What differs but for the time at which a row was changed."""
    return [line for line in difference(snapshot(url), snapshot(other)) if not line.endswith(" differs in updated_at")]


def unnumbered(found: frozenset[str]) -> set[str]:
    """A structure without the numbers in our tables' names: a trial batch leaves gaps in them."""
    return {re.sub(r"(archive|journal)_\d+_", r"\1_", line) for line in found}


def stamps(url: str) -> frozenset[str]:
    """Alembic's own table, which stays when nothing is stamped."""
    return frozenset(line for line in structure(url) if "alembic_version" in line)


@contextmanager
def twin(postgres):
    """Another database with the same rows."""
    with database(postgres.url) as url:
        crm.load(url)
        yield url


def test_it_does_what_the_upgrade_does(upgraded, postgres, crm_url):
    script = rendered(crm_url, *UP)
    before = snapshot(crm_url)
    paste(crm_url, script)

    with twin(postgres) as other:
        assert difference(before, snapshot(other)) == []
        upgraded(other, "upgrade", "head")
        assert unlike(other, crm_url) == []
        assert archived(other) == archived(crm_url)
        assert unnumbered(structure(other)) == unnumbered(structure(crm_url))
        assert rows(other, "TABLE alembic_version") == rows(crm_url, "TABLE alembic_version")


def test_it_is_taken_back_by_a_script(crm_url):
    before, made = snapshot(crm_url), structure(crm_url)
    paste(crm_url, rendered(crm_url, *UP))
    told = paste(crm_url, rendered(crm_url, *DOWN))

    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) - made == stamps(crm_url)
    assert [line for (line,) in told if "rows brought back" not in line] == []
    assert rows(crm_url, "TABLE alembic_version") == []


def test_how_much_was_merged_is_told(psql_command, database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, referred_by int REFERENCES contacts)",
        "INSERT INTO contacts VALUES (1, 1, '5', NULL), (2, 1, '5', NULL), (3, 1, '6', 2)",
    )
    done = psql_command(database_url, rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES=""))
    assert re.search(r"groups_merged \| rows_merged \n[-+]+\n +1 \| +1\n", done.stdout)


def test_it_is_taken_back_online(upgraded, crm_url):
    before, made = snapshot(crm_url), structure(crm_url)
    paste(crm_url, rendered(crm_url, *UP))
    upgraded(crm_url, "downgrade", "base")

    execute(crm_url, "DROP TABLE alembic_version")
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made


def test_an_upgrade_online_is_taken_back_by_a_script(upgraded, crm_url):
    before, made = snapshot(crm_url), structure(crm_url)
    upgraded(crm_url, "upgrade", "head", CONTACTS_SCHEMA_BATCH_SIZE="3")
    paste(crm_url, rendered(crm_url, *DOWN))

    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) - made == stamps(crm_url)


def test_the_two_revisions_are_rendered_each_on_its_own(crm_url):
    before = snapshot(crm_url)
    paste(crm_url, rendered(crm_url, "upgrade", "dedupe_contacts", "--sql"))
    assert duplicate_groups(crm_url) == 0
    paste(crm_url, rendered(crm_url, "upgrade", "dedupe_contacts:head", "--sql"))
    assert constraint_is_valid(crm_url)
    paste(crm_url, rendered(crm_url, "downgrade", "unique_phone_workspace:dedupe_contacts", "--sql"))
    paste(crm_url, rendered(crm_url, "downgrade", "dedupe_contacts:base", "--sql"))
    assert difference(before, snapshot(crm_url)) == []


CHANGES = {
    "a column more": "ALTER TABLE contacts ADD COLUMN nickname text",
    "a foreign key more": "CREATE TABLE sightings (id bigint PRIMARY KEY, whom uuid REFERENCES contacts)",
    "a column that looks like a reference": "CREATE TABLE sightings (id bigint PRIMARY KEY, contact_id uuid)",
    "a trigger more": "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    "CREATE TRIGGER t AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION t()",
    "an index more": "CREATE UNIQUE INDEX ON contacts (id, phone)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_where_the_catalog_has_changed_it_stops_before_the_first_change(crm_url, change):
    script = rendered(crm_url, *UP)
    execute(crm_url, CHANGES[change])
    before, made = snapshot(crm_url), structure(crm_url)

    with pytest.raises(psycopg.errors.RaiseException, match="not as they were when this script was rendered"):
        paste(crm_url, script)
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made


SINCE = {
    "the catalog": "ALTER TABLE contacts ADD COLUMN nickname text",
    "the archive": "DROP SCHEMA contacts_schema CASCADE",
    "what is archived": "UPDATE contacts_schema.op SET kind = 'fill' WHERE kind = 'move'",
}


@pytest.mark.parametrize("what", SINCE)
def test_where_something_has_changed_the_way_back_stops_too(crm_url, what):
    paste(crm_url, rendered(crm_url, *UP))
    script = rendered(crm_url, *DOWN)
    execute(crm_url, SINCE[what])
    before, made = snapshot(crm_url), structure(crm_url)

    with pytest.raises(psycopg.errors.RaiseException, match="not as they were when this script was rendered"):
        paste(crm_url, script)
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made


def test_the_way_back_of_several_upgrades(upgraded, crm_url):
    before = snapshot(crm_url)
    upgraded(crm_url, "upgrade", "head")
    upgraded(crm_url, "downgrade", "-1")
    more = "INSERT INTO contacts (workspace_id, phone) SELECT workspace_id, phone FROM contacts WHERE phone <> '' LIMIT 5"
    execute(crm_url, more)
    added = snapshot(crm_url)
    upgraded(crm_url, "upgrade", "head")
    paste(crm_url, rendered(crm_url, *DOWN))
    new = [line for line in difference(before, snapshot(crm_url)) if not line.endswith("is new")]
    assert new == []
    assert len(difference(before, snapshot(crm_url))) == 5
    assert added["public.contacts"].rows.keys() <= snapshot(crm_url)["public.contacts"].rows.keys()


def test_on_another_database_it_stops(postgres, crm_url):
    script = rendered(crm_url, *UP)
    with twin(postgres) as other:
        execute(other, "ALTER TABLE contacts RENAME TO former; CREATE TABLE contacts (LIKE former INCLUDING ALL)")
        with pytest.raises(psycopg.errors.RaiseException, match="another database"):
            paste(other, script)


def test_what_is_refused_online_is_refused_and_nothing_is_written(crm_url):
    execute(crm_url, "CREATE TABLE sightings (id bigint PRIMARY KEY, contact_id uuid)")
    done = render(crm_url, *UP)
    assert (done.returncode, done.stdout) == (1, "")
    assert "sightings" in done.stderr
    assert "ignore_references" in done.stderr


def test_rows_that_came_to_collide_since_stop_it(database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "CREATE TABLE badges (contact_id int REFERENCES contacts, kind int, note text, PRIMARY KEY (contact_id, kind))",
        "INSERT INTO contacts VALUES (1, 1, '5'), (2, 1, '5')",
    )
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="")
    execute(database_url, "INSERT INTO badges VALUES (1, 1, 'one'), (2, 1, 'another')")
    before = snapshot(database_url)

    with pytest.raises(psycopg.errors.RaiseException) as stopped:
        paste(database_url, script)
    assert '1 row of "public.badges" would collide' in str(stopped.value)
    assert "badges=merge" in str(stopped.value)
    assert difference(before, snapshot(database_url)) == []


def test_phones_that_came_to_be_blank_since_stop_it(crm_url):
    script = rendered(crm_url, *UP)
    execute(crm_url, "INSERT INTO contacts (workspace_id, phone) SELECT workspace_id, ' ' FROM contacts LIMIT 2")
    before = snapshot(crm_url)
    with pytest.raises(psycopg.errors.RaiseException, match='"phone" is blank in 2 rows'):
        paste(crm_url, script)
    assert difference(before, snapshot(crm_url)) == []


def test_a_trigger_that_keeps_a_row_stops_it(database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "INSERT INTO contacts VALUES (1, 1, '5'), (2, 1, '5')",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER keep BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION keep()",
    )
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="")
    with pytest.raises(psycopg.errors.RaiseException, match="a trigger or a rule kept rows of"):
        paste(database_url, script)
    assert value(database_url, "SELECT count(*) FROM contacts") == 2


def test_a_cascade_that_takes_more_along_stops_it(database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "INSERT INTO contacts VALUES (1, 1, '5'), (2, 1, '5'), (3, 1, '6')",
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN DELETE FROM contacts WHERE id = 3; RETURN NULL; END'",
        "CREATE TRIGGER more AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION more()",
    )
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="")
    with pytest.raises(psycopg.errors.RaiseException, match="removed 1 row that were not to go"):
        paste(database_url, script)
    assert value(database_url, "SELECT count(*) FROM contacts") == 3


def test_an_upgrade_that_was_begun_online_is_ended_online(upgraded, crm_url):
    script = rendered(crm_url, *UP)
    upgraded(crm_url, "upgrade", "dedupe_contacts")
    done = render(crm_url, "upgrade", "dedupe_contacts:head", "--sql")
    assert done.returncode == 1
    assert "was begun online and has not ended" in done.stderr

    execute(crm_url, "DROP TABLE alembic_version")
    with pytest.raises(psycopg.errors.RaiseException, match="was begun online and has not ended"):
        paste(crm_url, script)


def test_while_a_run_goes_on_it_stops(crm_url):
    script = rendered(crm_url, *UP)
    key = re.search(r"pg_try_advisory_xact_lock\((.*?)\)", script)
    assert key is not None
    with psycopg.connect(crm_url) as other:
        other.execute(f"SELECT pg_advisory_lock({key[1]})".encode())
        with pytest.raises(psycopg.errors.RaiseException, match="another run is going on"):
            paste(crm_url, script)


def test_blanks_and_fills_are_as_online(upgraded, postgres, crm_url):
    given = {"CONTACTS_SCHEMA_BLANK_PHONES": "null", "CONTACTS_SCHEMA_FILL": "email,name"}
    blank = "UPDATE contacts SET phone = ' ' WHERE hashtext(id::text) % 7 = 0"
    execute(crm_url, blank)
    before, made = snapshot(crm_url), structure(crm_url)
    paste(crm_url, rendered(crm_url, *UP, **given))
    with twin(postgres) as other:
        execute(other, blank)
        upgraded(other, "upgrade", "head", **given)
        assert unlike(other, crm_url) == []
        ours, theirs = archived(crm_url), archived(other)
        assert ours.keys() == theirs.keys()
        # What was noted of the contacts last is from after their stamp had changed.
        assert [kind for kind in ours if ours[kind] != theirs[kind] and kind != "journal contacts"] == []
        assert len(ours["journal contacts"]) == len(theirs["journal contacts"])
    paste(crm_url, rendered(crm_url, *DOWN, **given))
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) - made == stamps(crm_url)


def test_where_there_is_nothing_to_do_it_only_stamps(upgraded_url):
    execute(upgraded_url, "DROP TABLE alembic_version")
    before = snapshot(upgraded_url)
    paste(upgraded_url, rendered(upgraded_url, *UP))
    assert difference(before, snapshot(upgraded_url)) == []
    assert rows(upgraded_url, "TABLE alembic_version") == [("unique_phone_workspace",)]


def test_edits_stay_and_are_told(crm_url):
    paste(crm_url, rendered(crm_url, *UP))
    (moved, survivor), *_ = rows(
        crm_url, 'SELECT a.id, a."~into1" FROM contacts_schema.archive_1_contacts AS a ORDER BY 1 LIMIT 1'
    )
    message = value(crm_url, "SELECT id FROM messages WHERE contact_id = %s LIMIT 1", survivor)
    assert (moved, message) != (None, None)
    execute(crm_url, f"DELETE FROM messages WHERE contact_id = '{survivor}'")
    online = render(crm_url, *DOWN)
    told = [line for (line,) in paste(crm_url, online.stdout)]
    assert any(line.startswith("public.messages (") and line.endswith("nothing to undo") for line in told)


def test_what_cannot_come_back_stops_it_and_names_the_way(crm_url):
    paste(crm_url, rendered(crm_url, *UP))
    key = value(crm_url, "SELECT id FROM contacts_schema.archive_1_contacts LIMIT 1")
    execute(crm_url, f"INSERT INTO contacts (id, workspace_id) SELECT '{key}', workspace_id FROM contacts LIMIT 1")
    script = rendered(crm_url, *DOWN)
    before = snapshot(crm_url)
    with pytest.raises(psycopg.errors.UniqueViolation) as stopped:
        paste(crm_url, script)
    assert "contacts-schema restore" in str(stopped.value)
    assert "contacts_pkey" in str(stopped.value)
    assert difference(before, snapshot(crm_url)) == []


def test_no_phone_and_no_password_is_in_a_script(crm_url):
    script = rendered(crm_url, *UP)
    phones = {phone for (phone,) in rows(crm_url, "SELECT phone FROM contacts WHERE phone <> ''")}
    assert [phone for phone in phones if phone in script] == []
    assert "postgresql://" not in script


def test_a_script_by_psql(psql_command, crm_url):
    before = snapshot(crm_url)
    up = psql_command(crm_url, rendered(crm_url, *UP))
    assert (up.returncode, up.stderr) == (0, "")
    assert constraint_is_valid(crm_url)
    down = psql_command(crm_url, rendered(crm_url, *DOWN))
    assert (down.returncode, down.stderr) == (0, "")
    assert difference(before, snapshot(crm_url)) == []


def test_a_script_that_fails_by_psql_leaves_nothing(psql_command, crm_url):
    script = rendered(crm_url, *UP)
    execute(crm_url, "ALTER TABLE contacts ADD COLUMN nickname text")
    before, made = snapshot(crm_url), structure(crm_url)
    done = psql_command(crm_url, script)
    assert done.returncode == 3
    assert "not as they were" in done.stderr
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made


GOING_ON = {
    "the catalog has changed": (UP, "ALTER TABLE contacts ADD COLUMN nickname text"),
    "a row cannot come back": (DOWN, "INSERT INTO contacts (id, workspace_id) SELECT a.id, a.workspace_id FROM"
                               " contacts_schema.archive_1_contacts AS a LIMIT 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", GOING_ON)
def test_a_client_that_goes_on_after_an_error_does_nothing_either(psql_command, crm_url, case):
    which, change = GOING_ON[case]
    if which == DOWN:
        paste(crm_url, rendered(crm_url, *UP))
    script = rendered(crm_url, *which)
    execute(crm_url, change)
    before, made = snapshot(crm_url), structure(crm_url)
    done = psql_command(crm_url, script, "ON_ERROR_ROLLBACK=on")
    assert "nothing of it was done" in done.stderr
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made


def test_a_move_that_fails_ends_it_for_such_a_client_too(psql_command, database_url):
    body = "CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {} RETURN NEW; END'"
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "CREATE TABLE messages (id int PRIMARY KEY, contact_id int REFERENCES contacts)",
        "INSERT INTO contacts VALUES (1, 1, '5'), (2, 1, '5')",
        "INSERT INTO messages VALUES (1, 2)",
        body.format(""),
        "CREATE TRIGGER look BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION look()",
    )
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="")
    execute(database_url, body.format("RAISE EXCEPTION $$no$$;"))
    before, made = snapshot(database_url), structure(database_url)
    done = psql_command(database_url, script, "ON_ERROR_ROLLBACK=on")
    assert "nothing of it was done" in done.stderr
    assert difference(before, snapshot(database_url)) == []
    assert structure(database_url) == made


def test_a_lock_that_is_not_to_be_had_ends_it_for_such_a_client_too(psql_command, database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "INSERT INTO contacts VALUES (1, 1, '5'), (2, 1, '5')",
    )
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="").replace(
        "lock_timeout = '5s'", "lock_timeout = '50ms'"
    )
    with psycopg.connect(database_url) as writer:
        writer.execute("INSERT INTO contacts VALUES (3, 1, '6')")
        done = psql_command(database_url, script, "ON_ERROR_ROLLBACK=on")
    assert "nothing of it was done" in done.stderr
    assert value(database_url, "SELECT count(*) FROM contacts") == 3
    assert value(database_url, "SELECT to_regclass('alembic_version')") is None


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_at_another_isolation_level_it_stops(crm_url, level):
    script = rendered(crm_url, *UP)
    before = snapshot(crm_url)
    with pytest.raises(psycopg.errors.RaiseException, match="the transaction is not READ COMMITTED"):
        paste(f"{crm_url}?options=-c%20default_transaction_isolation%3D{level.replace(' ', '%5C%20')}", script)
    assert difference(before, snapshot(crm_url)) == []


def test_after_the_way_back_it_can_be_done_again(crm_url):
    for _ in range(2):
        paste(crm_url, rendered(crm_url, *UP))
        assert constraint_is_valid(crm_url)
        paste(crm_url, rendered(crm_url, *DOWN))


def test_a_second_time_it_stops(crm_url):
    script = rendered(crm_url, *UP)
    paste(crm_url, script)
    with pytest.raises(psycopg.errors.RaiseException, match="not as they were when this script was rendered"):
        paste(crm_url, script)


@pytest.mark.parametrize(
    "since",
    [
        "SELECT",
        "ALTER TABLE tags ALTER agent TYPE text",
        "CREATE TABLE new (LIKE tags INCLUDING ALL); INSERT INTO new TABLE tags;"
        " DROP TABLE tags; ALTER TABLE new RENAME TO tags",
    ],
    ids=["as it was", "retyped", "made again"],
)
def test_the_way_back_takes_the_tables_as_they_are(database_url, since):
    """Another column was where `id` is, and the condition names its table."""
    declared = {"CONTACTS_SCHEMA_REFERENCES": "tags.agent where tags.kind = 'c'", "CONTACTS_SCHEMA_COLLISIONS": "tags=merge"}
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "CREATE TABLE tags (gone text, id int PRIMARY KEY, contact_id int UNIQUE REFERENCES contacts, agent int, kind text)",
        "INSERT INTO contacts VALUES (1, 1, 'a'), (2, 1, 'a'), (3, 1, 'b'), (4, 1, 'b')",
        "INSERT INTO tags VALUES ('', 10, 1, 3, 'c'), ('', 20, 2, 4, 'c')",
        "ALTER TABLE tags DROP gone",
    )
    paste(database_url, rendered(database_url, *UP, **declared))
    assert rows(database_url, "SELECT id FROM tags") == [(10,)]
    execute(database_url, *since.split("; "))

    paste(database_url, rendered(database_url, *DOWN, **declared))

    assert rows(database_url, "SELECT id, agent::text FROM tags ORDER BY 1") == [(10, "3"), (20, "4")]


def test_two_tables_in_one_script(database_url):
    for table in ("contacts", "people"):
        execute(
            database_url,
            f"CREATE TABLE {table} (id int PRIMARY KEY, workspace_id int, phone text)",
            f"INSERT INTO {table} VALUES (1, 1, '5'), (2, 1, '5')",
        )
    parts = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("contacts", "people"):
            script = UpgradeScript(connection, Settings(table=table, constraint=f"unique_{table}"))
            parts += [script.merge(), script.constrain()]
    paste(database_url, "\n".join(["BEGIN;", *parts, "COMMIT;"]))
    for table in ("contacts", "people"):
        assert rows(database_url, f"SELECT id FROM {table}") == [(1,)]
    assert value(database_url, "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'unique_%'") == 2


ODD = [
    'we"ird',
    "50%",
    "$refuse$",
    "$restore$",
    "a;b",
    "back\\slash",
    "{rows}",
    "it's",
    ":name",
    "Ünï-cøde",
    "line\nbreak",
    "%(op)s",
    "a.b",
]


@pytest.mark.parametrize("name", ODD)
def test_names_of_any_kind(database_url, name):
    quoted = '"' + name.replace('"', '""') + '"'
    execute(
        database_url,
        f"CREATE TABLE {quoted} (id int PRIMARY KEY, workspace_id int, {quoted} text, created_at int)",
        f"CREATE TABLE child (id int PRIMARY KEY, {quoted} int REFERENCES {quoted}, kind int)",
        f"CREATE UNIQUE INDEX ON child ({quoted}, kind)",
        f"INSERT INTO {quoted} VALUES (1, 1, '+15550001', 2), (2, 1, '+15550001', 1), (3, 1, ' ', 0)",
        "INSERT INTO child VALUES (1, 1, 1), (2, 2, 1), (3, 1, 2)",
    )
    before = snapshot(database_url)
    given = {
        "CONTACTS_SCHEMA_TABLE": quoted,
        "CONTACTS_SCHEMA_PHONE_COLUMN": quoted,
        "CONTACTS_SCHEMA_REFERENCES": "",
        "CONTACTS_SCHEMA_BLANK_PHONES": "null",
    }
    paste(database_url, rendered(database_url, *UP, **given))
    assert rows(database_url, f"SELECT id FROM {quoted}") == [(2,), (3,)]
    assert rows(database_url, "SELECT * FROM child ORDER BY id") == [(2, 2, 1), (3, 2, 2)]
    paste(database_url, rendered(database_url, *DOWN, **given))
    assert difference(before, snapshot(database_url)) == []
