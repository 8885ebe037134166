"""Rows of before that a constraint would not take again could be neither changed nor brought back, and are refused."""

from __future__ import annotations

import psycopg
import pytest

from contacts_schema.settings import Reference
from sandbox.snapshot import difference, snapshot
from sandbox.trial import CONTACTS, merge, query, reasons, restore, round_trip, run
from tests.operator.scripts import UP, paste, rendered

NOTES = "CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint, author int, body text);"
NAMED = "ALTER TABLE contacts ADD CONSTRAINT named CHECK (name <> 'second') NOT VALID;"

REFUSED = {
    "a check of a duplicate": (NAMED, 1, "contacts", "named"),
    "a check of a row that moves": (
        NOTES + "INSERT INTO notes VALUES (1, 2, 1, 'bad'), (2, 3, 1, 'ok'), (3, 4, 1, 'bad');"
        "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts,"
        " ADD CONSTRAINT good CHECK (body <> 'bad') NOT VALID",
        1,
        "notes",
        "good",
    ),
    "a check of a row that collides": (
        NOTES + "INSERT INTO notes VALUES (1, 1, 1, 'bad'), (2, 3, 1, 'bad');"
        "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts, ADD UNIQUE (contact_id, author),"
        " ADD CONSTRAINT good CHECK (body <> 'bad') NOT VALID",
        1,
        "notes",
        "good",
    ),
    "a foreign key of the contacts": (
        "CREATE TABLE workspaces (id bigint PRIMARY KEY); INSERT INTO workspaces VALUES (2);"
        "ALTER TABLE contacts ADD CONSTRAINT home FOREIGN KEY (workspace_id) REFERENCES workspaces NOT VALID",
        2,
        "contacts",
        "home",
    ),
    "a foreign key of the contacts to themselves": (
        "ALTER TABLE contacts ADD referred_by bigint; UPDATE contacts SET referred_by = 77 WHERE id = 2;"
        "ALTER TABLE contacts ADD CONSTRAINT own FOREIGN KEY (referred_by) REFERENCES contacts NOT VALID",
        1,
        "contacts",
        "own",
    ),
    "a foreign key of a row that collides": (
        "CREATE TABLE authors (id int PRIMARY KEY);" + NOTES + "INSERT INTO notes VALUES (1, 1, 7), (2, 2, 7), (3, 4, 7);"
        "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts, ADD UNIQUE (contact_id, author),"
        " ADD CONSTRAINT written FOREIGN KEY (author) REFERENCES authors NOT VALID",
        1,
        "notes",
        "written",
    ),
    "a foreign key that has to match in full": (
        "CREATE TABLE homes (a int, b int, PRIMARY KEY (a, b)); ALTER TABLE contacts ADD a int, ADD b int;"
        "UPDATE contacts SET a = 1 WHERE id = 3;"
        "ALTER TABLE contacts ADD CONSTRAINT home FOREIGN KEY (a, b) REFERENCES homes MATCH FULL NOT VALID",
        1,
        "contacts",
        "home",
    ),
}


REFUSED |= {
    "an orphan under a foreign key that is valid": (
        "CREATE TABLE workspaces (id bigint PRIMARY KEY); INSERT INTO workspaces VALUES (1), (2);"
        "ALTER TABLE contacts ADD CONSTRAINT home FOREIGN KEY (workspace_id) REFERENCES workspaces;"
        "SET session_replication_role = replica; DELETE FROM workspaces WHERE id = 2",
        1,
        "contacts",
        "home",
    ),
    "a check of which the function was replaced": (
        "CREATE FUNCTION fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "ALTER TABLE contacts ADD CONSTRAINT named CHECK (fine(name));"
        "CREATE OR REPLACE FUNCTION fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT $1 <> 'second'$$",
        1,
        "contacts",
        "named",
    ),
    "the same of a row that moves": (
        "CREATE FUNCTION fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        + NOTES
        + "INSERT INTO notes VALUES (1, 2, 1, 'bad'), (2, 3, 1, 'ok'), (3, 4, 1, 'bad');"
        "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts, ADD CONSTRAINT good CHECK (fine(body));"
        "CREATE OR REPLACE FUNCTION fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT $1 <> 'bad'$$",
        1,
        "notes",
        "good",
    ),
    "a check of a whole row": (
        "CREATE FUNCTION fine(contacts) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT $1.name <> 'second'$$;"
        "ALTER TABLE contacts ADD CONSTRAINT named CHECK (fine(contacts.*)) NOT VALID",
        1,
        "contacts",
        "named",
    ),
    "a check of the time": (
        "ALTER TABLE contacts ADD until timestamptz;"
        "UPDATE contacts SET until = clock_timestamp() + interval '2 ms' WHERE id = 2;"
        "ALTER TABLE contacts ADD CONSTRAINT open CHECK (until > transaction_timestamp()) NOT VALID;"
        "DO $$BEGIN WHILE clock_timestamp() < (SELECT until FROM contacts WHERE id = 2) LOOP END LOOP; END$$",
        1,
        "contacts",
        "open",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(database_url, case):
    setup, count, table, constraint = REFUSED[case]
    run(database_url, CONTACTS, setup)

    rows = "1 row" if count == 1 else f"{count} rows"
    assert [(r.code, r.problem, r.way_on) for r in reasons(database_url)] == [
        (
            "untaken",
            f'"{constraint}" does not hold in {rows} of "public.{table}": they could not be changed, or not be brought back',
            f'correct these rows by hand first, or drop "{constraint}"',
        )
    ]


def from_18(url: str, statement: str) -> bool:
    """Execute what PostgreSQL knows from 18 on; false where an older server, and only such a one, does not."""
    if int(query(url, "SHOW server_version_num")[0][0]) >= 180000:
        run(url, statement)
        return True
    with pytest.raises(psycopg.Error):
        run(url, statement)
    return False


def test_a_not_null_is_refused_as_well(database_url):
    run(database_url, CONTACTS, "UPDATE contacts SET name = NULL WHERE id IN (2, 7)")
    there = from_18(database_url, "ALTER TABLE contacts ADD CONSTRAINT named NOT NULL name NOT VALID")

    found = [(r.code, r.problem.split(":")[0]) for r in reasons(database_url)]
    assert found == [("untaken", '"named" does not hold in 1 row of "public.contacts"')] * there


SLUG = """
    CREATE FUNCTION slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
    ALTER TABLE {table} ADD slug text GENERATED ALWAYS AS (slug({column})) STORED;
    CREATE OR REPLACE FUNCTION slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS
        $$SELECT CASE $1 WHEN '{of}' THEN '-' ELSE lower($1) END$$;
"""


@pytest.mark.parametrize(("table", "column", "of"), [("contacts", "name", "third"), ("notes", "body", "Hello")])
def test_a_generated_column_that_would_come_back_with_another_value_is_refused(database_url, table, column, of):
    run(database_url, CONTACTS, NOTES, "INSERT INTO notes VALUES (1, 2, 1, 'Hello'), (2, 3, 1, 'Hi'), (3, 4, 1, 'Hello')")
    run(database_url, "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts")
    run(database_url, SLUG.format(table=table, column=column, of=of))

    assert [(r.code, r.problem) for r in reasons(database_url)] == [
        (
            "untaken",
            f'in 1 row of "public.{table}" the generated column "slug" holds what its expression does not give today: they '
            "could not be brought back as they are",
        )
    ]
    run(database_url, f"UPDATE {table} SET {column} = {column}")
    assert round_trip(database_url).rows_merged == 3


@pytest.mark.parametrize("of", ["second", "other"])
def test_what_fails_on_a_row_is_refused_where_a_merge_meets_that_row(database_url, of):
    run(
        database_url,
        CONTACTS,
        "ALTER TABLE contacts ADD age text DEFAULT '7'",
        f"UPDATE contacts SET age = 'x' WHERE name = '{of}'",
    )
    run(database_url, "ALTER TABLE contacts ADD CONSTRAINT aged CHECK (age::int > 0) NOT VALID")

    found = [(r.code, r.problem) for r in reasons(database_url)]
    why = '"aged" of "public.contacts" cannot be computed for some row (SQLSTATE 22P02): it could not be changed'
    assert found == [("untaken", f"{why}, or not be brought back")] * (of == "second")


ACCEPTED = {
    "generated columns of other types than their functions'": (
        "CREATE FUNCTION slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';"
        "CREATE FUNCTION third(bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 3.0';"
        "ALTER TABLE contacts ADD a varchar(50) GENERATED ALWAYS AS (slug(name)) STORED,"
        " ADD b char(20) GENERATED ALWAYS AS (slug(name)) STORED,"
        " ADD c numeric(10, 2) GENERATED ALWAYS AS (third(id)) STORED,"
        " ADD d int GENERATED ALWAYS AS (third(id)) STORED,"
        " ADD e tsvector GENERATED ALWAYS AS (to_tsvector('english', name)) STORED"
    ),
    "a foreign key between two collations": (
        'CREATE TABLE countries (code text COLLATE "C" PRIMARY KEY);'
        "INSERT INTO countries VALUES ('de');"
        "ALTER TABLE contacts ADD country text COLLATE \"POSIX\" DEFAULT 'de' REFERENCES countries"
    ),
    "checks as people write them": (
        "ALTER TABLE contacts ADD made timestamptz DEFAULT now() CHECK (made <= now()), ADD tags jsonb DEFAULT '{}',"
        " ADD CHECK (tags @> '{}' AND NOT tags ? 'x'), ADD CHECK (lower(name) ~ '^[a-z ]+$'), ADD CHECK (phone LIKE '+%'),"
        " ADD CHECK (length(phone) BETWEEN 1 AND 40), ADD CHECK (workspace_id IS NULL OR made::date > '2000-01-01')"
    ),
    "a statement trigger of a partition": (
        "CREATE TABLE notes (id int, contact_id bigint REFERENCES contacts) PARTITION BY LIST (id);"
        "CREATE TABLE notes_1 PARTITION OF notes FOR VALUES IN (1); INSERT INTO notes VALUES (1, 2);"
        "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER told AFTER UPDATE ON notes_1 FOR EACH STATEMENT EXECUTE FUNCTION told();"
    ),
    "an index that not every partition has yet": (
        "CREATE TABLE notes (id int, contact_id bigint REFERENCES contacts, PRIMARY KEY (id, contact_id))"
        " PARTITION BY LIST (id);"
        "CREATE TABLE notes_1 PARTITION OF notes FOR VALUES IN (1); INSERT INTO notes VALUES (1, 2);"
        "CREATE UNIQUE INDEX ON ONLY notes (contact_id, id)"
    ),
    "a contact that is nobody's duplicate": "ALTER TABLE contacts ADD CHECK (name <> 'other') NOT VALID",
    "an orphan that is nobody's duplicate": (
        "CREATE TABLE workspaces (id bigint PRIMARY KEY); INSERT INTO workspaces VALUES (1), (2), (3);"
        "INSERT INTO contacts VALUES (11, 3, '5', 'alone');"
        "ALTER TABLE contacts ADD FOREIGN KEY (workspace_id) REFERENCES workspaces;"
        "SET session_replication_role = replica; DELETE FROM workspaces WHERE id = 3"
    ),
    "a composite value with a NULL in it": "CREATE TYPE place AS (street text, number int);"
    "ALTER TABLE contacts ADD home place DEFAULT ROW('x', NULL), ADD CHECK (num_nulls(home) = 0) NOT VALID",
    "rows that keep it": "ALTER TABLE contacts ADD CHECK (id > 0) NOT VALID",
    "orphans of before": NOTES + "INSERT INTO notes VALUES (1, 2, 1), (2, 99, 1), (3, 3, 1);"
    "ALTER TABLE notes ADD UNIQUE (contact_id, author),"
    " ADD FOREIGN KEY (contact_id) REFERENCES contacts ON DELETE CASCADE NOT VALID",
    "a row that just moves": "CREATE TABLE authors (id int PRIMARY KEY);" + NOTES + "INSERT INTO notes VALUES (1, 2, 7);"
    "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts,"
    " ADD FOREIGN KEY (author) REFERENCES authors NOT VALID",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_stands_in_nobodys_way_is_not(database_url, case):
    run(database_url, CONTACTS, ACCEPTED[case])

    assert round_trip(database_url).rows_merged == 3


def half_built(url: str, index: str, *since: str) -> None:
    """A unique index as a build leaves it that was cut short after what came `since` its look at the rows."""
    flags = "UPDATE pg_index SET indisready = {}, indisvalid = false WHERE indexrelid = 'half'::regclass"
    run(url, f"CREATE UNIQUE INDEX half ON {index}", flags.format(False), *since, flags.format(True))


@pytest.mark.parametrize("index", ["contacts (name)", "notes (author)"])
def test_an_index_that_a_build_left_invalid_is_refused_where_rows_break_it(database_url, index):
    run(database_url, CONTACTS, "UPDATE contacts SET name = id", NOTES, "INSERT INTO notes VALUES (1, 1, 1)")
    run(database_url, "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts, ADD UNIQUE (contact_id)")
    half_built(database_url, index, "UPDATE contacts SET name = 'Ann'", "INSERT INTO notes VALUES (2, 2, 1)")

    table = index.split()[0]
    assert [(r.code, r.problem, r.way_on) for r in reasons(database_url)] == [
        (
            "invalid_index",
            f'rows of "public.{table}" break the unique index "half", which is INVALID and enforced all the same: they '
            "could not be brought back",
            'DROP INDEX CONCURRENTLY "public"."half"',
        )
    ]


def test_one_that_is_not_enforced_is_not(database_url):
    run(database_url, CONTACTS)
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(database_url, "CREATE UNIQUE INDEX CONCURRENTLY half ON contacts (workspace_id, phone)")

    assert round_trip(database_url).rows_merged == 3


def test_what_is_not_enforced_is_not(database_url):
    run(database_url, CONTACTS, NOTES, "INSERT INTO notes VALUES (1, 2, 1), (2, 3, 2)")
    run(database_url, "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts")
    from_18(database_url, "ALTER TABLE contacts ADD CHECK (false) NOT ENFORCED")
    from_18(database_url, "ALTER TABLE notes ADD CHECK (contact_id <> 1) NOT ENFORCED")

    assert round_trip(database_url).rows_merged == 3


@pytest.mark.parametrize("what", ["a check", "a generated column"])
def test_a_survivor_that_is_filled_is_asked_as_well(database_url, what):
    run(database_url, CONTACTS, "ALTER TABLE contacts ADD email text; UPDATE contacts SET email = 'a@x' WHERE id = 2")
    if what == "a check":
        run(database_url, "ALTER TABLE contacts ADD CONSTRAINT named CHECK (name <> 'first') NOT VALID")
    else:
        run(database_url, SLUG.format(table="contacts", column="name", of="first"))

    assert [r.code for r in reasons(database_url, fill=("email",))] == ["untaken"]
    assert round_trip(database_url).rows_merged == 3


def test_a_blank_phone_of_a_row_that_would_come_back_with_another_value_is_refused(database_url):
    run(database_url, CONTACTS, "INSERT INTO contacts VALUES (20, 1, ' ', 'Ann')")
    run(database_url, SLUG.format(table="contacts", column="name", of="Ann"))

    assert [r.code for r in reasons(database_url, blank_phones="null")] == ["untaken"]


def test_a_check_of_times_and_dates_counts_by_the_time_zone_of_today(database_url):
    run(database_url, CONTACTS)
    run(
        database_url,
        "SET timezone = 'Asia/Tokyo'; ALTER TABLE contacts ADD at timestamptz DEFAULT '2020-01-01 01:00+09',"
        " ADD day date DEFAULT '2020-01-01', ADD CONSTRAINT of_the_day CHECK (at::date = day)",
    )

    (reason,) = reasons(database_url)
    assert reason.problem.startswith('"of_the_day" does not hold in 3 rows of "public.contacts"')


def test_a_script_stops_where_such_a_row_has_become_a_duplicate(database_url):
    run(database_url, CONTACTS, "ALTER TABLE contacts ADD CONSTRAINT named CHECK (name <> 'other') NOT VALID")
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="")
    run(database_url, "INSERT INTO contacts VALUES (-1, 1, '+15550002', 'older')")
    before = snapshot(database_url)

    with pytest.raises(psycopg.errors.RaiseException, match=r'"named" does not hold in 1 row of "public.contacts"'):
        paste(database_url, script)
    assert difference(before, snapshot(database_url)) == []


NARROW = {
    "an integer": (
        "UPDATE contacts SET id = 3000000000 + id WHERE id < 4;"
        "INSERT INTO contacts VALUES (5000000000, 3, '6', 'Ann'), (7, 3, '6', 'Ann') ON CONFLICT DO NOTHING;"
        "CREATE TABLE notes (id int PRIMARY KEY, contact_id int REFERENCES contacts); INSERT INTO notes VALUES (1, 70)",
        {"survivor_order": "id DESC"},
        "22003",
    ),
    "a text": (
        "ALTER TABLE contacts ALTER id TYPE text; UPDATE contacts SET id = 'import-00000001' WHERE id = '1';"
        "CREATE TABLE notes (id int PRIMARY KEY, contact_id varchar(8)); INSERT INTO notes VALUES (1, '2'), (2, '9')",
        {"survivor_order": "length(id) DESC", "references": (Reference(table="notes", column="contact_id"),)},
        "22001",
    ),
}


@pytest.mark.parametrize("case", NARROW)
def test_a_reference_that_cannot_hold_the_survivors_key_is_refused(database_url, case):
    setup, settings, sqlstate = NARROW[case]
    run(database_url, CONTACTS + "INSERT INTO contacts VALUES (70, 3, '6', 'Ann');", setup)

    assert [(r.code, r.problem) for r in reasons(database_url, **settings)] == [
        ("misfit", f'a reference of "public.notes" could not hold the key of a survivor (SQLSTATE {sqlstate})')
    ]


@pytest.mark.parametrize("state", ["", "ALTER TABLE notes DISABLE", "ALTER TABLE notes_2 DISABLE"])
def test_a_trigger_of_a_partition_alone_is_refused(database_url, state):
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE notes (id int, contact_id bigint REFERENCES contacts, at timestamptz) PARTITION BY LIST (id);"
        "CREATE TABLE notes_1 PARTITION OF notes FOR VALUES IN (1);"
        "CREATE TABLE notes_2 PARTITION OF notes FOR VALUES IN (2);"
        "INSERT INTO notes VALUES (1, 2, '2020-01-01'), (2, 3, '2020-01-01');"
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END';"
        f"CREATE TRIGGER stamp BEFORE UPDATE ON {'notes' if state else 'notes_2'} FOR EACH ROW EXECUTE FUNCTION stamp();",
    )
    if state:
        run(database_url, f"{state} TRIGGER stamp")
    if "notes D" in state:
        run(database_url, "ALTER TABLE notes_2 ENABLE TRIGGER stamp")

    assert [(r.code, r.problem) for r in reasons(database_url)] == [
        (
            "partition_trigger",
            'the trigger "public.notes_2.stamp" is on a partition alone, or in another state than that of "public.notes": '
            "what it changes would not be undone",
        )
    ]


def test_a_table_of_very_many_columns_is_merged_and_comes_back(database_url):
    columns = ", ".join(f"ADD a_column_as_a_crm_names_it_{number} text DEFAULT 'x'" for number in range(400))
    run(database_url, CONTACTS, f"ALTER TABLE contacts {columns}")

    assert round_trip(database_url).rows_merged == 3


def test_a_virtual_column_that_fails_on_a_row_is_not_computed(database_url):
    run(database_url, CONTACTS, "ALTER TABLE contacts ADD a int DEFAULT 0")
    from_18(database_url, "ALTER TABLE contacts ADD v int GENERATED ALWAYS AS (1 / a) VIRTUAL")
    stored = "SELECT id, workspace_id, phone, name, a FROM contacts ORDER BY id"
    before = query(database_url, stored)

    assert merge(database_url).rows_merged == 3
    restore(database_url)
    assert query(database_url, stored) == before


@pytest.mark.parametrize("check", ["phone IS NOT NULL OR name <> 'must'", "name <> 'must'"])
def test_a_check_that_a_blank_phone_cannot_leave_is_refused(database_url, check):
    run(
        database_url, CONTACTS, "INSERT INTO contacts VALUES (20, 1, ' ', 'must'), (21, 1, ' ', 'may'), (22, 1, '7', 'must')"
    )
    run(database_url, f"ALTER TABLE contacts ADD CONSTRAINT told CHECK ({check}) NOT VALID")

    assert [(r.code, r.problem) for r in reasons(database_url, blank_phones="null")] == [
        ("blank_check", 'without its blank "phone", 1 row of "public.contacts" would violate "told"')
    ]
