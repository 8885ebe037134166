"""What people changed between the way up and the way down stays as they left it, and is named; the rest comes back."""

from __future__ import annotations

import pytest

from sandbox.snapshot import difference, snapshot
from tests.migration.observed import execute, rows, value

SMALL = """
    CREATE TABLE workspaces (id int PRIMARY KEY);
    CREATE TABLE contacts (
        id int PRIMARY KEY, workspace_id int NOT NULL REFERENCES workspaces ON DELETE RESTRICT, phone text,
        email text UNIQUE, name text, note text DEFAULT 'none'
    );
    CREATE TABLE messages (
        id int PRIMARY KEY, contact_id int NOT NULL REFERENCES contacts ON DELETE CASCADE, body text
    );
    CREATE TABLE labels (contact_id int REFERENCES contacts ON DELETE CASCADE, label text, PRIMARY KEY (contact_id, label));
    INSERT INTO workspaces VALUES (1), (2);
    INSERT INTO contacts VALUES
        (1, 1, '+155501', NULL, NULL), (2, 1, '+155501', 'two@example.com', 'Two'), (3, 1, '+155501', NULL, 'Three'),
        (4, 2, '+155501', NULL, NULL), (5, 2, '+155501', 'five@example.com', 'Five');
    INSERT INTO messages VALUES (10, 1, 'a'), (20, 2, 'b'), (21, 2, 'c'), (30, 3, 'd'), (50, 5, 'e');
    INSERT INTO labels VALUES (1, 'vip'), (2, 'vip'), (3, 'vip'), (3, 'new');
"""


@pytest.fixture
def url(database_url):
    execute(database_url, SMALL)
    return database_url


def differences(url, migrate, *changes, **settings):
    """Up, `changes`, down: what is not as it was before, and what the downgrade said was left alone."""
    before = snapshot(url)
    migrate(url, "upgrade", "head", **settings)
    execute(url, *changes)
    said = migrate(url, "downgrade", "base", **settings).stderr
    return difference(before, snapshot(url)), left_alone(said)


def left_alone(said):
    """The lines of the summary that name rows."""
    lines = [line.split("  ", 1)[-1].strip() for line in said.splitlines()]
    heads = [n for n, line in enumerate(lines) if line.startswith("left as they are")]
    return lines[heads[0] + 1 :] if heads else []


def test_nothing_is_said_where_nothing_changed(url, migrate_plain):
    assert differences(url, migrate_plain) == ([], [])


def test_a_reference_that_people_moved_on_stays(url, migrate_plain):
    changed, said = differences(url, migrate_plain, "UPDATE messages SET contact_id = 4 WHERE id = 20")

    assert changed == ["public.messages (id)=(20) differs in contact_id"]
    assert rows(url, "SELECT contact_id FROM messages WHERE id = 20") == [(4,)]
    assert said == ["public.messages (id=20): changed since, kept"]


def test_other_columns_of_a_moved_row_keep_what_people_wrote(url, migrate_plain):
    changed, said = differences(url, migrate_plain, "UPDATE messages SET body = 'edited' WHERE id = 20")

    assert changed == ["public.messages (id)=(20) differs in body"]
    assert said == []


def test_a_moved_row_that_people_deleted_stays_deleted(url, migrate_plain):
    changed, said = differences(url, migrate_plain, "DELETE FROM messages WHERE id = 20")

    assert changed == ["public.messages (id)=(20) is gone"]
    assert said == ["public.messages (id=20): deleted or changed since, nothing to undo"]


def test_a_deleted_survivor_stays_deleted_and_its_duplicates_come_back(url, migrate_plain):
    changed, said = differences(url, migrate_plain, "DELETE FROM contacts WHERE id = 1")

    # Its messages went with it; people's own cascade took them, whoever they belonged to before.
    assert set(changed) == {
        "public.contacts (id)=(1) is gone",
        "public.labels (contact_id, label)=(1, vip) is gone",
        *(f"public.messages (id)=({n}) is gone" for n in (10, 20, 21, 30)),
        "public.labels (contact_id, label)=(3, new) is gone",
    }
    assert [line for line in said if "messages" in line] == [
        f"public.messages (id={n}): deleted or changed since, nothing to undo" for n in (20, 21, 30)
    ]
    assert rows(url, "SELECT id FROM contacts ORDER BY id") == [(2,), (3,), (4,), (5,)]


def test_a_filled_value_that_people_edited_stays_and_the_others_are_emptied_again(url, migrate_plain):
    changed, said = differences(
        url, migrate_plain, "UPDATE contacts SET name = 'Edited' WHERE id = 1", CONTACTS_SCHEMA_FILL="name, email"
    )

    assert changed == ["public.contacts (id)=(1) differs in name"]
    assert said == ["public.contacts (id=1): changed since, kept"]
    assert rows(url, "SELECT email, name FROM contacts WHERE id = 1") == [(None, "Edited")]


def test_filled_values_are_taken_from_the_duplicates_and_given_back(url, migrate_plain):
    before = snapshot(url)
    migrate_plain(url, "upgrade", "head", CONTACTS_SCHEMA_FILL="name, email")

    assert rows(url, "SELECT id, email, name FROM contacts ORDER BY id") == [
        (1, "two@example.com", "Two"),
        (4, "five@example.com", "Five"),
    ]
    migrate_plain(url, "downgrade", "base")
    assert difference(before, snapshot(url)) == []


def test_a_stranger_who_took_the_id_keeps_it_and_what_is_his(url, migrate_plain):
    changed, said = differences(
        url,
        migrate_plain,
        "INSERT INTO contacts VALUES (2, 2, '+155599', 'stranger@example.com', 'Stranger')",
        "INSERT INTO messages VALUES (99, 2, 'his')",
    )

    assert rows(url, "SELECT name FROM contacts WHERE id = 2") == [("Stranger",)]
    assert rows(url, "SELECT id FROM messages WHERE contact_id = 2") == [(99,)]
    # What belonged to the one who cannot come back stays with the survivor.
    assert rows(url, "SELECT id FROM messages WHERE contact_id = 1 ORDER BY id") == [(10,), (20,), (21,)]
    assert any(
        line.startswith("public.contacts (id=2): stays in the archive, contacts_pkey (SQLSTATE 23505)") for line in said
    )
    assert [line for line in said if "messages" in line] == [
        f"public.messages (id={n}): stays with the survivor, its own row is not back" for n in (20, 21)
    ]
    assert not any("(id)=(3)" in line or "(id)=(5)" in line for line in changed)


def test_a_unique_value_that_somebody_took_keeps_the_row_in_the_archive_until_it_is_free(url, migrate_plain):
    before = snapshot(url)
    taken = "INSERT INTO contacts VALUES (100, 2, '+155598', 'two@example.com')"
    migrate_plain(url, "upgrade", "head")
    execute(url, taken)

    said = left_alone(migrate_plain(url, "downgrade", "base").stderr)

    assert "public.contacts (id=2): stays in the archive, contacts_email_key (SQLSTATE 23505)" in said
    assert value(url, "SELECT count(*) FROM contacts WHERE id IN (3, 5)") == 2
    assert "two@example.com" not in " ".join(said)

    # Free again, it comes back by another way up and down, and so does what was moved away from it.
    execute(url, "DELETE FROM contacts WHERE id = 100")
    migrate_plain(url, "upgrade", "head")
    migrate_plain(url, "downgrade", "base")
    assert difference(before, snapshot(url)) == []


def test_a_parent_that_is_gone_keeps_its_rows_in_the_archive(url, migrate_plain):
    changed, said = differences(
        url,
        migrate_plain,
        "UPDATE contacts SET workspace_id = 1, phone = '+155597' WHERE workspace_id = 2",
        "DELETE FROM workspaces WHERE id = 2",
    )

    assert "public.contacts (id=5): stays in the archive, contacts_workspace_id_fkey (SQLSTATE 23503)" in said
    assert "public.messages (id=50): stays with the survivor, its own row is not back" in said
    assert set(changed) == {
        "public.workspaces (id)=(2) is gone",
        "public.contacts (id)=(4) differs in workspace_id, phone",
        "public.contacts (id)=(5) is gone",
        "public.messages (id)=(50) differs in contact_id",
    }


def test_what_people_wrote_since_is_left_alone(url, migrate_plain):
    changed, said = differences(
        url,
        migrate_plain,
        "INSERT INTO contacts VALUES (100, 1, '+155596')",
        "INSERT INTO messages VALUES (100, 100, 'new'), (101, 1, 'for the survivor')",
    )

    assert changed == [
        "public.contacts (id)=(100) is new",
        "public.messages (id)=(100) is new",
        "public.messages (id)=(101) is new",
    ]
    assert said == []


def test_a_column_that_was_renamed_gets_its_values_back(url, migrate_plain):
    was = (
        rows(url, "SELECT id, name, email FROM contacts ORDER BY id"),
        rows(url, "SELECT id, contact_id FROM messages ORDER BY id"),
    )
    migrate_plain(url, "upgrade", "head")
    execute(
        url,
        "ALTER TABLE contacts RENAME COLUMN name TO swapped",
        "ALTER TABLE contacts RENAME COLUMN email TO name",
        "ALTER TABLE contacts RENAME COLUMN swapped TO email",
        "ALTER TABLE messages RENAME COLUMN contact_id TO person_id",
        "ALTER TABLE messages RENAME TO letters",
    )

    migrate_plain(url, "downgrade", "base")

    assert rows(url, "SELECT id, email, name FROM contacts ORDER BY id") == was[0]
    assert rows(url, "SELECT id, person_id FROM letters ORDER BY id") == was[1]


def test_a_column_that_was_added_gets_its_default(url, migrate_plain):
    was = rows(url, "SELECT id, phone, name, email FROM contacts ORDER BY id")
    migrate_plain(url, "upgrade", "head")
    execute(url, "ALTER TABLE contacts ADD COLUMN colour text NOT NULL DEFAULT 'grey'")

    migrate_plain(url, "downgrade", "base")

    assert rows(url, "SELECT id, phone, name, email FROM contacts ORDER BY id") == was
    assert rows(url, "SELECT DISTINCT colour FROM contacts") == [("grey",)]


def test_a_column_that_was_added_and_must_have_a_value_keeps_rows_in_the_archive(url, migrate_plain):
    migrate_plain(url, "upgrade", "head")
    execute(
        url,
        "ALTER TABLE contacts ADD COLUMN colour text",
        "UPDATE contacts SET colour = 'red'",
        "ALTER TABLE contacts ALTER COLUMN colour SET NOT NULL",
    )

    said = left_alone(migrate_plain(url, "downgrade", "base").stderr)

    assert [line for line in said if "contacts (" in line] == [
        f"public.contacts (id={n}): stays in the archive, colour (SQLSTATE 23502)" for n in (2, 3, 5)
    ]
    assert value(url, "SELECT count(*) FROM messages WHERE contact_id = 1") == 4


def test_a_column_that_was_dropped_is_left_out(url, migrate_plain):
    was = rows(url, "SELECT id, phone, name FROM contacts ORDER BY id")
    migrate_plain(url, "upgrade", "head")
    execute(url, "ALTER TABLE contacts DROP COLUMN email", "DROP TABLE labels")

    migrate_plain(url, "downgrade", "base")

    assert rows(url, "SELECT id, phone, name FROM contacts ORDER BY id") == was


def test_blank_phones_become_null_as_long_as_the_constraint_is_there(url, migrate_plain):
    execute(url, "INSERT INTO contacts (id, workspace_id, phone) VALUES (6, 1, ''), (7, 1, ''), (8, 1, '  '), (9, 2, '')")
    before = snapshot(url)
    blank = {"CONTACTS_SCHEMA_BLANK_PHONES": "null"}
    migrate_plain(url, "upgrade", "head", **blank)

    execute(url, "INSERT INTO contacts (id, workspace_id, phone) VALUES (60, 1, ''), (61, 1, ' ')")
    execute(url, "UPDATE contacts SET phone = '' WHERE id = 4")
    assert rows(url, "SELECT id FROM contacts WHERE phone IS NULL ORDER BY id") == [(n,) for n in (4, 6, 7, 8, 9, 60, 61)]
    execute(url, "DELETE FROM contacts WHERE id >= 60", "UPDATE contacts SET phone = '+155501' WHERE id = 4")
    migrate_plain(url, "downgrade", "base", **blank)

    assert difference(before, snapshot(url)) == []
    execute(url, "INSERT INTO contacts (id, workspace_id, phone) VALUES (60, 1, '')")
    assert value(url, "SELECT phone FROM contacts WHERE id = 60") == ""
