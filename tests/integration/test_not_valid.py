"""Constraints that are NOT VALID: a row that breaks one can be neither changed nor brought back, so that it is refused."""

from __future__ import annotations

import psycopg
import pytest

from sandbox.snapshot import difference, snapshot
from sandbox.trial import CONTACTS, query, reasons, round_trip, run
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


@pytest.mark.parametrize("case", REFUSED)
def test_refused(database_url, case):
    setup, count, table, constraint = REFUSED[case]
    run(database_url, CONTACTS, setup)

    rows = "1 row" if count == 1 else f"{count} rows"
    assert [(r.code, r.problem, r.way_on) for r in reasons(database_url)] == [
        (
            "not_valid",
            f'{rows} of "public.{table}" break "{constraint}", which is NOT VALID: they could be neither changed nor '
            "brought back",
            "correct these rows by hand and VALIDATE it, or drop it",
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

    found = [(r.code, r.problem.split(",")[0]) for r in reasons(database_url)]
    assert found == [("not_valid", '1 row of "public.contacts" break "named"')] * there


ACCEPTED = {
    "a contact that is nobody's duplicate": "ALTER TABLE contacts ADD CHECK (name <> 'other') NOT VALID",
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
def test_an_index_that_a_build_left_invalid_is_refused(database_url, index):
    run(database_url, CONTACTS, "UPDATE contacts SET name = id", NOTES, "INSERT INTO notes VALUES (1, 1, 1)")
    run(database_url, "ALTER TABLE notes ADD FOREIGN KEY (contact_id) REFERENCES contacts, ADD UNIQUE (contact_id)")
    half_built(database_url, index, "UPDATE contacts SET name = 'Ann'", "INSERT INTO notes VALUES (2, 2, 1)")

    table = index.split()[0]
    assert [(r.code, r.problem, r.way_on) for r in reasons(database_url)] == [
        (
            "invalid_index",
            f'the unique index "half" of "public.{table}" is INVALID and enforced all the same: a row of before that '
            "breaks it could not be brought back",
            'DROP INDEX CONCURRENTLY "public"."half", or REINDEX INDEX CONCURRENTLY',
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


def test_a_script_stops_where_such_a_row_has_become_a_duplicate(database_url):
    run(database_url, CONTACTS, "ALTER TABLE contacts ADD CONSTRAINT named CHECK (name <> 'other') NOT VALID")
    script = rendered(database_url, *UP, CONTACTS_SCHEMA_REFERENCES="")
    run(database_url, "INSERT INTO contacts VALUES (-1, 1, '+15550002', 'older')")
    before = snapshot(database_url)

    with pytest.raises(psycopg.errors.RaiseException, match=r'1 row of "public.contacts" break "named"'):
        paste(database_url, script)
    assert difference(before, snapshot(database_url)) == []
