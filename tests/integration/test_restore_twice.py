"""An archived id was taken by a stranger: nothing of ours becomes his, and a later restore brings the rest back."""

from __future__ import annotations

import pytest

from sandbox.trial import CONTACTS, add_constraint, drop_constraint, merge, query, restore, run

TAGS = """
    CREATE TABLE tags (contact_id bigint REFERENCES contacts ON DELETE CASCADE, tag text, PRIMARY KEY (contact_id, tag));
    INSERT INTO tags VALUES (1, 'new'), (2, 'new'), (2, 'vip');
"""
STRANGER = "INSERT INTO contacts VALUES (2, 9, '+15559999', 'a stranger')"
CONTACT_ROWS = "SELECT id, workspace_id, phone, name FROM contacts ORDER BY id"
TAG_ROWS = "SELECT contact_id, tag FROM tags ORDER BY contact_id, tag"


@pytest.fixture
def before(database_url):
    run(database_url, CONTACTS, TAGS)
    taken = query(database_url, CONTACT_ROWS), query(database_url, TAG_ROWS)
    merge(database_url)
    run(database_url, STRANGER)
    return taken


def test_a_row_that_hung_on_the_archived_one_does_not_come_back_to_the_stranger(database_url, before):
    restored = restore(database_url)

    assert any("public.contacts (id=2): stays in the archive" in line for line in restored.kept)
    assert query(database_url, TAG_ROWS) == [(1, "new"), (1, "vip")]


def test_all_of_it_comes_back_when_the_id_is_free_again(database_url, before):
    restore(database_url)
    run(database_url, "DELETE FROM contacts WHERE workspace_id = 9")

    restore(database_url)

    assert (query(database_url, CONTACT_ROWS), query(database_url, TAG_ROWS)) == before
    assert query(database_url, "SELECT FROM pg_namespace WHERE nspname = 'contacts_schema'") == []


CHAIN = """
    CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id bigint, phone text, name text);
    INSERT INTO contacts VALUES (1, 1, 'a', 'first'), (2, 1, 'b', 'second'), (3, 1, 'b', 'third');
    CREATE TABLE messages (id int PRIMARY KEY, contact_id bigint REFERENCES contacts);
    INSERT INTO messages VALUES (1, 1), (2, 2), (3, 3);
    CREATE TABLE tags (contact_id bigint REFERENCES contacts ON DELETE CASCADE, tag text, PRIMARY KEY (contact_id, tag));
    INSERT INTO tags VALUES (3, 'vip');
"""
MESSAGE_ROWS = "SELECT id, contact_id FROM messages ORDER BY id"


def test_a_chain_of_two_runs_comes_back_after_a_stranger_held_the_row_in_its_middle(database_url):
    """3 went to 2, and in another run 2 to 1; what followed both waits for 2, whichever run it was moved by."""
    run(database_url, CHAIN)
    merge(database_url)
    add_constraint(database_url)
    drop_constraint(database_url)
    run(database_url, "UPDATE contacts SET phone = 'a' WHERE id = 2")
    merge(database_url)
    run(database_url, STRANGER)

    first = restore(database_url)

    assert query(database_url, MESSAGE_ROWS) == [(1, 1), (2, 1), (3, 1)]
    assert [line for line in first.kept if "messages (id=3)" in line] == [
        "public.messages (id=3): stays with the survivor, its own row is not back"
    ]
    run(database_url, "DELETE FROM contacts WHERE workspace_id = 9")

    assert restore(database_url).kept == ()

    assert query(database_url, MESSAGE_ROWS) == [(1, 1), (2, 2), (3, 3)]
    assert query(database_url, TAG_ROWS) == [(3, "vip")]
    assert query(database_url, "SELECT id, phone FROM contacts ORDER BY id") == [(1, "a"), (2, "a"), (3, "b")]
