"""Where an id of yesterday leads today."""

from __future__ import annotations

import asyncio
import itertools
import secrets

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from contacts_schema.webhook import Contacts, find_or_create, resolve
from contacts_schema.webhook.steps import resolving
from tests.migration.observed import execute, rows, value
from tests.webhook.clients import WORKSPACE
from tests.webhook.conftest import migrate

EVERYBODY = "SELECT id, min(id) OVER (PARTITION BY workspace_id, phone) FROM contacts ORDER BY id"


@pytest.fixture
def merged(in_phase):
    """A database whose contacts were merged, and for each contact of before the one of today."""
    return in_phase("constraint"), dict(rows(in_phase("no index"), EVERYBODY))


def test_a_merged_contacts_id_leads_to_its_survivor_and_any_other_to_itself(merged):
    url, today = merged
    assert len(set(today.values())) < len(today)
    with psycopg.connect(url) as connection:
        assert {old: resolve(connection, old) for old in today} == today
        assert resolve(connection, 99999) == 99999


def test_a_survivor_that_was_merged_later_is_followed(merged):
    url, today = merged
    merged_early = next(old for old, new in today.items() if old != new)
    survivor = today[merged_early]
    execute(
        url,
        "ALTER TABLE contacts DROP CONSTRAINT unique_phone_workspace",
        "INSERT INTO contacts (workspace_id, phone, created_at) SELECT workspace_id, phone, '2001-01-01Z' FROM contacts"
        f" WHERE id = {survivor}",
    )
    migrate(url, "stamp", "base")
    migrate(url, "upgrade", "head")

    with psycopg.connect(url) as connection:
        newest = connection.execute("SELECT id FROM contacts WHERE created_at < '2002-01-01Z'").fetchone()
        assert newest is not None
        assert (resolve(connection, survivor), resolve(connection, merged_early)) == (newest[0], newest[0])


@pytest.mark.parametrize("phase", ["no index", "guard", "index without constraint", "constraint", "rolled back"])
def test_in_every_phase_an_id_leads_to_a_contact_that_is_there(in_phase, phase):
    url = in_phase(phase)
    with psycopg.connect(url) as connection:
        there = {contact for (contact,) in connection.execute("SELECT id FROM contacts")}
        assert {resolve(connection, old) for old in range(1, 21)} <= there
        created = find_or_create(connection, WORKSPACE, "+17770001")
        assert resolve(connection, created.id) == created.id


def test_after_a_downgrade_everybody_is_himself_again(merged):
    url, today = merged
    migrate(url, "downgrade", "base")
    with psycopg.connect(url) as connection:
        assert [resolve(connection, old) for old in today] == list(today)


def test_who_may_not_read_the_archive_is_told_so_and_keeps_the_transaction(merged):
    url, today = merged
    name = f"reader_{secrets.token_hex(4)}"
    execute(url, f"CREATE ROLE {name} NOLOGIN", f"GRANT SELECT ON contacts TO {name}")
    old = next(old for old, new in today.items() if old != new)
    with psycopg.connect(url) as connection:
        connection.execute(f"SET ROLE {name}")
        with pytest.raises(PermissionError, match='the archive in "contacts_schema" is its owner'):
            resolve(connection, old)
        assert resolve(connection, today[old]) == today[old]
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_table_renamed_since_is_still_known(merged):
    url, today = merged
    execute(url, "ALTER TABLE contacts RENAME TO people", "ALTER TABLE people RENAME id TO person_id")
    people = Contacts(table="people", id_column="person_id")
    with psycopg.connect(url) as connection:
        assert {old: people.resolve(connection, old) for old in today} == today


def test_over_asyncpg_it_is_awaited(merged):
    url, today = merged

    async def resolved():
        engine = create_async_engine(sqlalchemy.make_url(url).set(drivername="postgresql+asyncpg"))
        async with engine.connect() as connection:
            found = {old: await resolve(connection, old) for old in today}
        await engine.dispose()
        return found

    assert asyncio.run(resolved()) == today


def test_a_downgrade_that_ends_meanwhile_is_no_error(in_phase):
    """After each statement that holds no lock on the archive yet."""
    for statements in (1, 2, 3):
        url = in_phase("constraint")
        with psycopg.connect(url, autocommit=True) as connection:
            steps = resolving(Contacts(), 2, alone=True)
            statement = next(steps)
            with pytest.raises(StopIteration) as ended:
                for number in itertools.count(1):
                    try:
                        answer = connection.execute(statement.text, statement.values)
                        if number == statements:
                            migrate(url, "downgrade", "base")
                        statement = steps.send(answer.fetchall() if answer.description else [])
                    except psycopg.errors.UndefinedTable as error:
                        statement = steps.throw(error)
            assert ended.value.value == 2
            assert value(url, "SELECT count(*) FROM contacts WHERE id = 2") == 1
