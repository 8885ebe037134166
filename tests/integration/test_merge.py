"""What merging does to contacts and to what refers to them; after each merge a restore brings everything back."""

from __future__ import annotations

import pytest

from sandbox.trial import CONTACTS, query, round_trip, run

# Contact 1 survives 2 and 3, contact 5 survives 6.
NOTE = "INSERT INTO notes (id, contact_id) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (6, NULL);"
MOVED = [(1, 1), (2, 1), (3, 1), (4, 4), (5, 5), (6, None)]


def kept(url: str) -> list[int]:
    return [key for (key,) in query(url, "SELECT id FROM contacts ORDER BY id")]


def test_the_first_row_of_each_group_survives(database_url):
    run(database_url, CONTACTS)

    def look() -> None:
        assert kept(database_url) == [1, 4, 5, 7, 8, 9, 10]

    report = round_trip(database_url, look)

    assert (report.groups, report.rows_merged, report.rows_archived) == (2, 3, 3)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"])
@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_foreign_key_of_any_action(database_url, action, deferred):
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE notes (id int PRIMARY KEY,"
        f"contact_id bigint DEFAULT 4 REFERENCES contacts ON DELETE {action} {deferred});" + NOTE,
    )

    def look() -> None:
        assert query(database_url, "SELECT id, contact_id FROM notes ORDER BY id") == MOVED

    report = round_trip(database_url, look)

    assert report.references_moved == {"public.notes": 3}


@pytest.mark.parametrize(
    "setup",
    [
        pytest.param(
            "CREATE SCHEMA crm; CREATE TABLE crm.notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts)",
            id="another schema",
        ),
        pytest.param(
            "CREATE SCHEMA crm; CREATE TABLE crm.notes (id int, contact_id bigint REFERENCES contacts, PRIMARY KEY (id))"
            "PARTITION BY RANGE (id); CREATE TABLE crm.notes_1 PARTITION OF crm.notes FOR VALUES FROM (0) TO (3);"
            "CREATE TABLE crm.notes_2 PARTITION OF crm.notes DEFAULT",
            id="partitioned",
        ),
        pytest.param(
            "CREATE SCHEMA crm; CREATE TABLE crm.notes (id int, contact_id bigint REFERENCES contacts)"
            "PARTITION BY HASH (contact_id);"
            "CREATE TABLE crm.notes_0 PARTITION OF crm.notes FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
            "CREATE TABLE crm.notes_1 PARTITION OF crm.notes FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            id="partitioned by the reference, without a primary key",
        ),
        pytest.param(
            "CREATE SCHEMA crm; CREATE TABLE crm.notes (contact_id bigint REFERENCES contacts, id int)",
            id="without a primary key",
        ),
        pytest.param(
            'CREATE SCHEMA crm; CREATE TABLE crm.notes (id int PRIMARY KEY, "50% ""off""" int DEFAULT 1,'
            "contact_id bigint REFERENCES contacts)",
            id="names that need care",
        ),
        pytest.param(
            "CREATE SCHEMA crm; CREATE TABLE crm.notes (id int PRIMARY KEY, gone int,"
            "contact_id bigint REFERENCES contacts NOT NULL); ALTER TABLE crm.notes DROP COLUMN gone;"
            "ALTER TABLE crm.notes ALTER contact_id DROP NOT NULL",
            id="a dropped column",
        ),
    ],
)
def test_children_of_other_kinds(database_url, setup):
    run(database_url, CONTACTS, setup, NOTE.replace("notes", "crm.notes"))

    def look() -> None:
        assert query(database_url, "SELECT id, contact_id FROM crm.notes ORDER BY id") == MOVED

    report = round_trip(database_url, look)

    assert report.references_moved == {"crm.notes": 3}


def test_a_child_partitioned_by_the_reference_with_a_key(database_url):
    partitions = "".join(
        f"CREATE TABLE tags_{n} PARTITION OF tags FOR VALUES WITH (MODULUS 4, REMAINDER {n});" for n in range(4)
    )
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE tags (contact_id bigint REFERENCES contacts, tag text, PRIMARY KEY (contact_id, tag))"
        f"PARTITION BY HASH (contact_id); {partitions}"
        "INSERT INTO tags VALUES (1, 'a'), (2, 'a'), (3, 'b'), (6, 'c'), (4, 'a')",
    )

    def look() -> None:
        assert query(database_url, "TABLE tags ORDER BY 1, 2") == [(1, "a"), (1, "b"), (4, "a"), (5, "c")]

    round_trip(database_url, look)


def test_several_references_in_one_row(database_url):
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE deals (id int PRIMARY KEY, buyer bigint REFERENCES contacts, seller bigint REFERENCES contacts,"
        "agent bigint REFERENCES contacts ON DELETE SET NULL);"
        "INSERT INTO deals VALUES (1, 2, 3, 6), (2, 1, 2, NULL), (3, 4, 4, 3)",
    )

    def look() -> None:
        assert query(database_url, "TABLE deals ORDER BY id") == [(1, 1, 1, 5), (2, 1, 1, None), (3, 4, 4, 1)]

    assert round_trip(database_url, look).references_moved == {"public.deals": 3}


def test_references_to_the_same_table(database_url):
    """Of the duplicates themselves none is changed: they come back as they were."""
    run(
        database_url,
        CONTACTS,
        "ALTER TABLE contacts ADD COLUMN referred_by bigint REFERENCES contacts ON DELETE CASCADE,"
        "ADD COLUMN spouse bigint REFERENCES contacts ON DELETE SET NULL;"
        "UPDATE contacts SET referred_by = 2 WHERE id IN (1, 3, 4, 5); UPDATE contacts SET spouse = 3 WHERE id IN (2, 6, 7)",
    )

    def look() -> None:
        rows = query(database_url, "SELECT id, referred_by, spouse FROM contacts WHERE id IN (1, 4, 5, 7) ORDER BY id")
        assert rows == [(1, 1, None), (4, 1, None), (5, 1, None), (7, None, 1)]

    round_trip(database_url, look)


def test_composite_references(database_url):
    """One column of them is of the key itself, and does not change."""
    run(
        database_url,
        CONTACTS,
        "ALTER TABLE contacts ADD UNIQUE (workspace_id, id);"
        "CREATE TABLE tasks (id int PRIMARY KEY, workspace_id bigint, contact_id bigint,"
        "FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id) MATCH FULL);"
        "INSERT INTO tasks VALUES (1, 1, 2), (2, 2, 6), (3, NULL, NULL), (4, 1, 1)",
    )

    def look() -> None:
        assert query(database_url, "TABLE tasks ORDER BY id") == [(1, 1, 1), (2, 2, 5), (3, None, None), (4, 1, 1)]

    round_trip(database_url, look)


def test_a_composite_primary_key(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (region text, number int, workspace_id int, phone text, PRIMARY KEY (region, number));"
        "INSERT INTO contacts VALUES ('eu', 1, 1, '+15550001'), ('eu', 2, 1, '+15550001'), ('us', 1, 1, '+15550001');"
        "CREATE TABLE notes (id int PRIMARY KEY, region text, number int, FOREIGN KEY (region, number) REFERENCES contacts"
        " ON UPDATE CASCADE ON DELETE CASCADE); INSERT INTO notes VALUES (1, 'us', 1), (2, 'eu', 2), (3, 'us', NULL)",
    )

    def look() -> None:
        assert query(database_url, "TABLE notes ORDER BY id") == [(1, "eu", 1), (2, "eu", 1), (3, "us", None)]

    round_trip(database_url, look)


def test_a_reference_to_a_second_key(database_url):
    run(
        database_url,
        CONTACTS,
        "ALTER TABLE contacts ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY (START 100) UNIQUE,"
        "ADD COLUMN code text UNIQUE;"
        "UPDATE contacts SET code = 'c' || id WHERE id IN (1, 2);"
        "CREATE TABLE calls (id int PRIMARY KEY, number bigint REFERENCES contacts (number),"
        "code text REFERENCES contacts (code));"
        "INSERT INTO calls SELECT id, number, code FROM contacts",
    )

    def look() -> None:
        rows = query(database_url, "SELECT number - 99, code FROM calls WHERE id IN (1, 2, 3, 6) ORDER BY id")
        assert rows == [(1, "c1"), (1, "c1"), (1, None), (5, None)]

    round_trip(database_url, look)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"])
def test_a_primary_key_that_is_the_reference_and_is_referred_to(database_url, action):
    """Contact 2 has the only profile of its group: it moves, and its links with it; 5's and 6's become one."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE profiles (contact_id bigint PRIMARY KEY REFERENCES contacts ON DELETE CASCADE, language text);"
        "INSERT INTO profiles VALUES (2, 'en'), (4, 'de'), (5, 'fr'), (6, 'fr');"
        f"CREATE TABLE links (id int PRIMARY KEY, contact_id bigint REFERENCES profiles ON DELETE {action}, url text);"
        "INSERT INTO links VALUES (1, 2, 'a'), (2, 4, 'b'), (3, 5, 'c'), (4, 6, 'd'), (5, 6, 'c'), (6, NULL, 'e')",
    )

    def look() -> None:
        assert query(database_url, "TABLE profiles ORDER BY 1") == [(1, "en"), (4, "de"), (5, "fr")]
        rows = query(database_url, "SELECT id, contact_id FROM links ORDER BY id")
        assert rows == [(1, 1), (2, 4), (3, 5), (4, 5), (5, 5), (6, None)]

    round_trip(database_url, look)


def test_no_cascade_ever_fires(database_url):
    """Every deleted row is one that was merged: a trigger counts those of each table, cascades included."""
    count = "CREATE TRIGGER count AFTER DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION count_deleted();"
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts ON DELETE CASCADE);" + NOTE,
        "CREATE TABLE lines (id int PRIMARY KEY, note_id int REFERENCES notes ON DELETE CASCADE);"
        "INSERT INTO lines SELECT n, n % 6 + 1 FROM generate_series(1, 50) AS n;"
        "CREATE TABLE deleted (table_name name);"
        "CREATE FUNCTION count_deleted() RETURNS trigger LANGUAGE plpgsql AS"
        "  'BEGIN INSERT INTO deleted VALUES (TG_TABLE_NAME); RETURN NULL; END';"
        + "".join(count.format(table) for table in ("contacts", "notes", "lines")),
    )

    def look() -> None:
        assert query(database_url, "SELECT table_name, count(*) FROM deleted GROUP BY 1") == [("contacts", 3)]
        run(database_url, "TRUNCATE deleted")

    round_trip(database_url, look)
