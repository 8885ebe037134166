"""is_duplicate, with the errors that real clients raise on a real server."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

import asyncpg
import postgrest
import psycopg
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from contacts_schema.webhook import is_duplicate
from sandbox.postgrest import npm, served
from tests.migration.observed import execute
from tests.webhook.clients import WORKSPACE

TAKEN = f"INSERT INTO contacts (workspace_id, phone, email) VALUES ('{WORKSPACE}', '+17770001', 'a@example.com')"
FAULTS = {
    "ours": (TAKEN.replace("a@", "b@"), True),
    "another unique constraint": (TAKEN.replace("0001", "0002"), False),
    "a foreign key": ("INSERT INTO messages (contact_id) VALUES (-1)", False),
    "a syntax error": ("INSERT", False),
}


def with_psycopg(url, statement):
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def with_psycopg2(url, statement):
    connection = psycopg2.connect(url)
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def with_asyncpg(url, statement):
    async def run():
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def with_sqlalchemy(driver):
    def run(url, statement):
        engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername=f"postgresql+{driver}"))
        try:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(statement))
        finally:
            engine.dispose()

    return run


def with_async_sqlalchemy(url, statement):
    async def run():
        engine = create_async_engine(sqlalchemy.make_url(url).set(drivername="postgresql+asyncpg"))
        try:
            async with engine.connect() as connection:
                await connection.execute(sqlalchemy.text(statement))
        finally:
            await engine.dispose()

    asyncio.run(run())


CLIENTS = {
    "psycopg": with_psycopg,
    "psycopg2": with_psycopg2,
    "asyncpg": with_asyncpg,
    "SQLAlchemy, psycopg": with_sqlalchemy("psycopg"),
    "SQLAlchemy, psycopg2": with_sqlalchemy("psycopg2"),
    "SQLAlchemy, asyncpg": with_async_sqlalchemy,
}


def raised(client, url, statement):
    try:
        client(url, statement)
    except Exception as error:
        return error
    raise AssertionError(statement)


@pytest.mark.parametrize("phase", ["guard", "index without constraint", "constraint"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_names_our_constraint_in_every_phase(in_phase, phase, client):
    url = in_phase(phase)
    execute(url, TAKEN)

    for statement, ours in FAULTS.values():
        error = raised(CLIENTS[client], url, statement)
        assert is_duplicate(error) is ours, repr(error)
        assert not is_duplicate(error, "unique_phone")
    assert is_duplicate(raised(CLIENTS[client], url, FAULTS["another unique constraint"][0]), "contacts_email_key")


@pytest.mark.parametrize(
    ("constraint", "ours"),
    [
        ("unique_phone_workspace_102009", True),
        ("unique_phone_workspace_3_102009", True),
        ("unique_phone_workspace_old", False),
        ("unique_phone_workspaces", False),
        ("not_unique_phone_workspace", False),
    ],
)
def test_a_shards_number_behind_the_name_is_no_other_name(database_url, constraint, ours):
    execute(
        database_url,
        "CREATE TABLE contacts (workspace_id uuid, phone text, email text)",
        f"ALTER TABLE contacts ADD CONSTRAINT {constraint} UNIQUE (workspace_id, phone)",
        TAKEN,
    )
    for client in CLIENTS.values():
        assert is_duplicate(raised(client, database_url, TAKEN)) is ours


@pytest.mark.parametrize("error", [ValueError("unique_phone_workspace"), KeyboardInterrupt(), Exception()])
def test_what_is_no_databases_error_is_no_duplicate(error):
    assert not is_duplicate(error)


@pytest.fixture
def anybody(postgres):
    """A role that stands for whoever comes without a key; it is dropped in the end."""
    name = f"anybody_{secrets.token_hex(4)}"
    execute(postgres.url, f"CREATE ROLE {name} NOLOGIN")
    yield name
    with suppress(psycopg.errors.DependentObjectsStillExist):
        execute(postgres.url, f"DROP ROLE {name}")


@pytest.mark.skipif(npm() is None, reason="PostgREST comes by npm, and there is none")
@pytest.mark.parametrize("hidden", [False, True], ids=["RLS off", "RLS on"])
@pytest.mark.parametrize("phase", ["guard", "index without constraint", "constraint"])
def test_postgrest_names_our_constraint_too(in_phase, phase, hidden, anybody):
    url = in_phase(phase)
    execute(url, TAKEN, f"GRANT SELECT, INSERT ON contacts, messages TO {anybody}")
    if hidden:
        execute(
            url,
            "ALTER TABLE contacts ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY all_in ON contacts FOR INSERT TO {anybody} WITH CHECK (true)",
        )
    ours = {"workspace_id": WORKSPACE, "phone": "+17770001"}
    with served(url, anybody) as address, postgrest.SyncPostgrestClient(address) as client:
        contacts = client.from_("contacts")
        rejected = refused(contacts.insert(ours, returning="minimal"))
        assert (rejected.code, is_duplicate(rejected)) == ("23505", True)
        assert hidden is (rejected.details is None) or phase == "guard"
        assert not is_duplicate(refused(contacts.insert(ours | {"phone": "1", "email": "a@example.com"})))
        assert not is_duplicate(refused(client.from_("messages").insert({"contact_id": -1})))
        assert not is_duplicate(refused(client.from_("nothing").insert({"contact_id": -1})))
    execute(url, f"DROP OWNED BY {anybody}")


def refused(request):
    with pytest.raises(postgrest.APIError) as raised:
        request.execute()
    return raised.value
