"""What the migration is for. The rest of the suite is about getting there and back on a database that people use."""

import psycopg
import pytest
from psycopg.errors import UniqueViolation

ACME, OTHER = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
PHONE, ANOTHER_PHONE = "+1 555 010 0001", "+1 555 010 0002"


@pytest.fixture
def contacts(upgraded_url):
    """A CRM that was full of duplicates after `alembic upgrade head`, with one new contact in the workspace ACME."""
    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        for workspace in (ACME, OTHER):
            connection.execute("INSERT INTO workspaces (id, name) VALUES (%s, 'a workspace')", [workspace])
        add_contact(connection, ACME, PHONE)
        yield connection


def add_contact(connection, workspace, phone):
    connection.execute("INSERT INTO contacts (workspace_id, phone) VALUES (%s, %s)", [workspace, phone])


def how_many(connection, workspace, phone):
    statement = "SELECT count(*) FROM contacts WHERE workspace_id = %s AND phone = %s"
    return connection.execute(statement, [workspace, phone]).fetchone()[0]


def test_a_duplicate_phone_in_the_same_workspace_is_rejected(contacts):
    with pytest.raises(UniqueViolation) as error:
        add_contact(contacts, ACME, PHONE)

    assert error.value.diag.constraint_name == "unique_phone_workspace"
    assert how_many(contacts, ACME, PHONE) == 1


def test_the_same_phone_in_another_workspace_is_allowed(contacts):
    add_contact(contacts, OTHER, PHONE)

    assert how_many(contacts, OTHER, PHONE) == 1


def test_a_different_phone_in_the_same_workspace_is_allowed(contacts):
    add_contact(contacts, ACME, ANOTHER_PHONE)

    assert how_many(contacts, ACME, ANOTHER_PHONE) == 1


def test_the_constraint_is_called_unique_phone_workspace_and_covers_workspace_and_phone(contacts):
    found = contacts.execute(
        """
        SELECT constraint_type, array_agg(column_name::text ORDER BY ordinal_position)
        FROM information_schema.table_constraints
        JOIN information_schema.key_column_usage USING (constraint_schema, constraint_name)
        WHERE constraint_name = 'unique_phone_workspace'
        GROUP BY constraint_type
        """
    ).fetchall()

    assert found == [("UNIQUE", ["workspace_id", "phone"])]
