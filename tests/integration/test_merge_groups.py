"""Which rows are one contact, which of them survives, what it takes over; each merge is taken back in full."""

from __future__ import annotations

import pytest

from contacts_schema.errors import LockNotAcquired
from sandbox.trial import CONTACTS, drop_constraint, merge, query, round_trip, run
from tests.migration.observed import held

TABLE = "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, {});"


def survivors(url: str) -> list[int]:
    return [key for (key,) in query(url, "SELECT id FROM contacts ORDER BY id")]


def check(url: str, expected: list[int], **settings) -> None:
    def look() -> None:
        assert survivors(url) == expected

    round_trip(url, look, **settings)


def test_a_group_larger_than_any_batch(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text);"
        "INSERT INTO contacts SELECT n, 1, '+15550001' FROM generate_series(1, 3000) AS n;"
        "CREATE TABLE notes (id int PRIMARY KEY, contact_id int REFERENCES contacts ON DELETE CASCADE);"
        "CREATE INDEX ON notes (contact_id); INSERT INTO notes SELECT n, n FROM generate_series(1, 3000) AS n",
        "ANALYZE contacts; ANALYZE notes",
    )

    def look() -> None:
        assert survivors(database_url) == [1]
        assert query(database_url, "SELECT contact_id, count(*) FROM notes GROUP BY 1") == [(1, 3000)]

    assert round_trip(database_url, look).rows_merged == 2999


def test_groups_of_every_size(database_url):
    """Phone n belongs to n rows."""
    run(
        database_url,
        "CREATE TABLE contacts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workspace_id int, phone text);"
        "INSERT INTO contacts (workspace_id, phone) SELECT 1, '+1555' || n"
        " FROM generate_series(1, 40) AS n, LATERAL generate_series(1, n)",
    )

    def look() -> None:
        assert query(database_url, "SELECT count(*), count(DISTINCT phone) FROM contacts") == [(40, 40)]

    report = round_trip(database_url, look, batch_size=7)

    assert (report.groups, report.rows_merged, report.rows_archived) == (39, 40 * 39 // 2, 40 * 39 // 2)


def test_an_order_of_the_users(database_url):
    run(database_url, CONTACTS)

    check(database_url, [3, 4, 6, 7, 8, 9, 10], survivor_order="(name = 'third') DESC, \"contacts\".id DESC")


def test_soft_deleted_rows_come_last_then_the_oldest(database_url):
    run(
        database_url,
        TABLE.format("deleted_at date, is_archived boolean, created_at date")
        + "INSERT INTO contacts VALUES (1, 1, 'a', '2020-01-01', NULL, '2019-01-01'), (2, 1, 'a', NULL, true, '2019-01-01'),"
        "(3, 1, 'a', NULL, false, '2022-01-01'), (4, 1, 'a', NULL, NULL, '2021-01-01')",
    )

    check(database_url, [4])


def test_fill_takes_what_the_survivor_lacks_even_if_it_is_unique(database_url):
    run(
        database_url,
        TABLE.format("email text UNIQUE, name text, city text, note text")
        + "INSERT INTO contacts VALUES (1, 1, 'a', NULL, 'Ann', NULL, NULL),"
        "(2, 1, 'a', 'ann@example.com', 'Anna', NULL, 'x'),"
        "(3, 1, 'a', NULL, NULL, 'Bonn', 'y'), (4, 1, 'b', NULL, NULL, NULL, NULL)",
    )

    def look() -> None:
        rows = query(database_url, "TABLE contacts ORDER BY id")
        assert rows[0] == (1, 1, "a", "ann@example.com", "Ann", "Bonn", None)
        assert len(rows) == 2

    round_trip(database_url, look, fill=("email", "name", "city"))


def test_an_archive_in_somebodys_hands_is_waited_for_and_no_longer_than_a_lock(database_url):
    """What it is filled from is found by an index, which an archive of an earlier run has not got yet."""
    run(database_url, CONTACTS)
    merge(database_url)
    drop_constraint(database_url)
    run(database_url, "INSERT INTO contacts VALUES (11, 1, '+15550002', 'again')")

    with (
        held(database_url, "LOCK TABLE contacts_schema.archive_1_contacts IN ROW EXCLUSIVE MODE") as holder,
        pytest.raises(LockNotAcquired, match=rf"the archive after 2 attempts.*\b{holder.info.backend_pid}\b"),
    ):
        merge(database_url, fill=("name",), lock_attempts=2)

    assert merge(database_url, fill=("name",)).rows_merged == 1


def test_nothing_is_filled_by_default(database_url):
    run(database_url, TABLE.format("email text") + "INSERT INTO contacts VALUES (1, 1, 'a', NULL), (2, 1, 'a', 'x@y')")

    merge(database_url)

    assert query(database_url, "TABLE contacts") == [(1, 1, "a", None)]


@pytest.mark.parametrize(
    ("setup", "values", "expected"),
    [
        pytest.param("", "(1, 'a'), (2, NULL), (3, NULL)", [1, 2, 3], id="null phones"),
        pytest.param("", "(1, 'a'), (2, 'A'), (3, 'a ')", [1, 2, 3], id="text says what it says"),
        pytest.param("ALTER TABLE contacts ALTER phone TYPE char(8)", "(1, 'a'), (2, 'a '), (3, 'b')", [1, 3], id="char(n)"),
        pytest.param(
            "ALTER TABLE contacts ALTER phone TYPE numeric USING NULL", "(1, 1.0), (2, 1.00), (3, 2)", [1, 3], id="numeric"
        ),
        pytest.param(
            "ALTER TABLE contacts ALTER phone TYPE bigint USING NULL", "(1, 0), (2, 0), (3, 2)", [1, 3], id="bigint"
        ),
        pytest.param(
            "CREATE DOMAIN phone_number AS varchar(20) CHECK (length(VALUE) > 0);"
            "ALTER TABLE contacts ALTER phone TYPE phone_number",
            "(1, 'a'), (2, 'a'), (3, 'A')",
            [1, 3],
            id="domain",
        ),
        pytest.param(
            "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;"
            "ALTER TABLE contacts ALTER phone TYPE extensions.citext",
            "(1, 'sip:Ann'), (2, 'SIP:ann'), (3, 'sip:bob')",
            [1, 3],
            id="citext in a schema of its own",
        ),
    ],
)
def test_keys_are_equal_as_the_index_holds_them_to_be(database_url, setup, values, expected):
    run(database_url, "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int DEFAULT 1, phone text);" + setup)
    run(database_url, f"INSERT INTO contacts (id, phone) VALUES {values}")

    check(database_url, expected)


@pytest.mark.icu
def test_a_nondeterministic_collation(database_url):
    run(
        database_url,
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text COLLATE loose);"
        "INSERT INTO contacts VALUES (1, 1, 'sip:Ann'), (2, 1, 'SIP:ann'), (3, 1, 'sip:bob'), (4, 1, NULL)",
    )

    check(database_url, [1, 3, 4])


def test_one_row_and_none(database_url):
    run(database_url, "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)")
    check(database_url, [])
    run(database_url, "INSERT INTO contacts VALUES (1, 1, 'a')")
    check(database_url, [1])


def test_a_key_of_one_column_and_of_three(database_url):
    run(database_url, CONTACTS)

    check(database_url, [1, 4, 7, 8], columns=("phone",))
    check(database_url, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], columns=("workspace_id", "name", "phone"))


def test_a_trigger_on_a_child_that_touches_its_parent(database_url):
    """The parent was locked for the merge by the same transaction; what the trigger stamps is reported."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE conversations (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, touched int DEFAULT 0);"
        "CREATE TABLE messages (id int PRIMARY KEY, contact_id bigint REFERENCES contacts,"
        "conversation_id int REFERENCES conversations);"
        "INSERT INTO conversations VALUES (1, 1), (2, 2), (3, 4);"
        "INSERT INTO messages VALUES (1, 2, 2), (2, 3, 2), (3, 4, 3);"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  UPDATE conversations SET touched = touched + 1 WHERE id = NEW.conversation_id; RETURN NULL; END $$;"
        "CREATE TRIGGER touch AFTER UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION touch()",
    )

    report = merge(database_url)

    assert query(database_url, "TABLE conversations ORDER BY id") == [(1, 1, 0), (2, 1, 2), (3, 4, 0)]
    assert query(database_url, "TABLE messages ORDER BY id") == [(1, 1, 2), (2, 1, 2), (3, 4, 3)]
    assert report.notes == ("triggers changed 2 further rows of public.conversations; a downgrade does not undo that",)
