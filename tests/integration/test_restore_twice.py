"""An archived id was taken by a stranger: nothing of ours becomes his, and a later restore brings the rest back."""

from __future__ import annotations

import pytest

from sandbox.trial import CONTACTS, merge, query, restore, run

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
