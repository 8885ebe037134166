"""docs/webhook.md does what it says: its table and its handlers, in every phase, on a real server."""

from __future__ import annotations

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import asyncpg
import httpx
import postgrest
import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import Session

from sandbox.alembic_command import ROOT
from sandbox.http_load import fill
from sandbox.http_load import served as serving
from sandbox.postgrest import npm, served
from tests.migration.observed import eventually, execute, rows, value
from tests.webhook.clients import WORKSPACE
from tests.webhook.conftest import PHASES, migrate

PAGE = (ROOT / "docs" / "webhook.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^##+ (.+?)$(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
TABLE = re.findall(r"^\| `(INSERT.*?)` \|(.*)\|$", PAGE, re.MULTILINE)
GUARDED = {"guard", "index without constraint", "constraint"}
BLANKS = ["", "  "]
PHONES = [f"+17775{n:03}" for n in range(40)]
VALUES = f"INSERT INTO contacts (workspace_id, phone) VALUES ('{WORKSPACE}', '+17770001')"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE {} = ANY (pg_blocking_pids(pid))"


def fences(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


def function(section: str, number: int, name: str = "contact_for"):
    there: dict[str, object] = {}
    exec(fences(section, "python")[number], there)
    return there[name]


# --- the table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("statement", "cells"), TABLE)
def test_a_duplicate_gets_in_each_phase_what_the_table_says(in_phase, statement, cells):
    said = [cell.strip() for cell in cells.split("|")]
    assert len(said) == len(PHASES)

    assert [outcome(in_phase(phase), statement) for phase in PHASES] == said


def outcome(url, statement):
    execute(url, VALUES)
    try:
        execute(url, re.sub(r"^INSERT …?", f"{VALUES} ", statement) if "…" in statement else VALUES)
    except psycopg.Error as error:
        return error.sqlstate
    return "stored" if value(url, "SELECT count(*) FROM contacts WHERE phone = '+17770001'") == 2 else "nothing"


def test_the_table_is_read():
    assert len(TABLE) == 4


# --- the handlers ---------------------------------------------------------------------------------------------------


def raced(url, racer):
    """Two threads, each with its own connection, ask for every phone at the same moment."""
    barrier = Barrier(2)

    def run():
        with racer() as contact_for:
            return [contact_for(phone) for phone in PHONES if barrier.wait(30) + 1]

    with ThreadPoolExecutor(2) as threads:
        first, second = [each.result(60) for each in [threads.submit(run), threads.submit(run)]]
    return stored(url, first, second)


def stored(url, first, second):
    """Every id is that of a contact with this phone; whether there is one for each phone."""
    found = rows(url, f"SELECT phone, array_agg(id) FROM contacts WHERE workspace_id = '{WORKSPACE}' GROUP BY phone")
    ids = dict(found)
    for phone, one, other in zip(PHONES, first, second, strict=True):
        assert {one, other} <= set(ids[phone])
    return first == second and all(len(ids[phone]) == 1 for phone in PHONES)


@pytest.mark.parametrize("client", ["psycopg", "Session"])
def test_find_or_create_makes_one_contact_a_phone(url, client):
    contact_for = function("psycopg and SQLAlchemy", 1)
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))

    @contextmanager
    def racer():
        with psycopg.connect(url) if client == "psycopg" else Session(engine) as connection:

            def ask(phone):
                found = contact_for(connection, WORKSPACE, phone, "Ann")
                connection.commit()
                return found

            yield ask

    assert raced(url, racer)
    engine.dispose()


def test_the_asyncpg_handler_makes_one_contact_a_phone_where_duplicates_are_rejected(url, phase):
    contact_for = function("asyncpg", 1)

    async def run(barrier):
        connection = await asyncpg.connect(url)
        try:
            return [await contact_for(connection, WORKSPACE, p, "Ann") for p in PHONES if await barrier.wait() + 1]
        finally:
            await connection.close()

    async def both():
        barrier = asyncio.Barrier(2)
        return await asyncio.wait_for(asyncio.gather(run(barrier), run(barrier)), 60)

    assert stored(url, *asyncio.run(both())) or phase not in GUARDED


def test_the_sql_function_makes_one_contact_a_phone_where_duplicates_are_rejected(url, phase):
    execute(url, fences("SQL, for everybody else", "sql")[1])

    @contextmanager
    def racer():
        with psycopg.connect(url, autocommit=True) as connection:
            yield lambda phone: connection.execute("SELECT contact_for(%s, %s, %s)", (WORKSPACE, phone, "Ann")).fetchone()[0]

    assert raced(url, racer) or phase not in GUARDED


@pytest.fixture
def address(url, postgres):
    """PostgREST before a database in each phase, for a role that may look and insert."""
    role = f"anybody_{secrets.token_hex(4)}"
    execute(postgres.url, f"CREATE ROLE {role} NOLOGIN")
    execute(url, f"GRANT SELECT, INSERT ON contacts TO {role}")
    with served(url, role) as answering:
        yield answering
    execute(url, f"DROP OWNED BY {role}")
    execute(postgres.url, f"DROP ROLE {role}")


@pytest.mark.skipif(npm() is None, reason="PostgREST comes by npm, and there is none")
def test_the_postgrest_handler_makes_one_contact_a_phone_where_duplicates_are_rejected(url, phase, address):
    contact_for = function("supabase-py and PostgREST", 1)

    @contextmanager
    def racer():
        with postgrest.SyncPostgrestClient(address) as client:
            yield lambda phone: contact_for(client, WORKSPACE, phone, "Ann")

    assert raced(url, racer) or phase not in GUARDED
    with postgrest.SyncPostgrestClient(address) as client:
        assert contact_for(client, WORKSPACE, " ", "Ann") != contact_for(client, WORKSPACE, " ", "Ann")
    before = function("supabase-py and PostgREST", 0)
    with postgrest.SyncPostgrestClient(address) as client:
        assert before(client, WORKSPACE, "+1", "Ann") == before(client, WORKSPACE, "+1", "Ann")


def test_the_handlers_of_before_work_as_long_as_nobody_races(url):
    before = function("psycopg and SQLAlchemy", 0)
    with psycopg.connect(url) as connection:
        assert before(connection, WORKSPACE, "+1", "Ann") == before(connection, WORKSPACE, "+1", "Ann")

    async def twice():
        connection = await asyncpg.connect(url)
        try:
            handler = function("asyncpg", 0)
            return [await handler(connection, WORKSPACE, "+1", "Ann") for _ in range(2)]
        finally:
            await connection.close()

    one, other = asyncio.run(twice())
    assert one == other


def test_other_names_will_do(database_url):
    execute(
        database_url,
        "CREATE TABLE people (id serial PRIMARY KEY, tenant_id int, mobile text,"
        " CONSTRAINT one_mobile UNIQUE (tenant_id, mobile))",
    )
    person_for = function("psycopg and SQLAlchemy", 2, "person_for")
    with psycopg.connect(database_url) as connection:
        assert person_for(connection, 1, "+1") == person_for(connection, 1, "+1")


# --- the rest -------------------------------------------------------------------------------------------------------


def test_afterwards_one_statement_does(in_phase):
    (upsert,) = fences("Afterwards", "sql")
    with psycopg.connect(in_phase("constraint")) as connection, psycopg.RawCursor(connection) as cursor:
        first, second = (cursor.execute(upsert, (WORKSPACE, "+1", name)).fetchone() for name in ("Ann", "Bob"))
        assert first == second


def test_the_id_of_a_merged_contact_leads_to_its_survivor(in_phase):
    contact_now = function("Ids that were handed out earlier", 0, "contact_now")
    url = in_phase("constraint")
    survivors = {row[0] for row in rows(url, "SELECT id FROM contacts")}
    with psycopg.connect(url) as connection:
        for contact in range(1, 21):
            assert contact_now(connection, contact) == (contact if contact in survivors else contact - 1)


def test_a_function_lets_others_follow_a_merged_contact(in_phase):
    url = in_phase("constraint")
    (make,) = fences("Ids that were handed out earlier", "sql")
    survivors = {row[0] for row in rows(url, "SELECT id FROM contacts")}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(make)
        connection.execute("DELETE FROM contacts WHERE id = 1")
        for contact in range(3, 21):
            (now,) = connection.execute("SELECT contact_now(%s)", (contact,)).fetchone()
            assert now == (contact if contact in survivors else contact - 1)
        assert connection.execute("SELECT contact_now(2), contact_now(999)").fetchone() == (1, 999)


def test_a_blank_phone_is_none_for_every_handler(in_phase):
    url = in_phase("constraint")
    execute(url, fences("SQL, for everybody else", "sql")[1])
    with psycopg.connect(url, autocommit=True) as connection:
        made = {
            connection.execute("SELECT contact_for(%s, %s, 'Ann')", (WORKSPACE, blank)).fetchone()[0] for blank in BLANKS
        }
    made |= {asyncio.run(with_asyncpg(url, blank)) for blank in BLANKS}

    assert len(made) == 2 * len(BLANKS)
    assert rows(url, "SELECT DISTINCT phone FROM contacts WHERE workspace_id = %s", WORKSPACE) == [(None,)]


async def with_asyncpg(url, phone):
    connection = await asyncpg.connect(url)
    try:
        return await function("asyncpg", 1)(connection, WORKSPACE, phone, "Ann")
    finally:
        await connection.close()


def test_the_server_is_asked_who_waits(database_url):
    (waits,) = fences("When webhook processing fails", "sql")
    with psycopg.connect(database_url) as connection:
        assert connection.execute(waits).fetchall() == []


def test_prometheus_finds_every_metric_of_the_queries(database_url):
    (queries,) = fences("What to watch", "promql")
    fill(database_url, 10)
    migrate(database_url, "upgrade", "head")
    with serving(database_url) as address, httpx.Client(base_url=address) as client:
        lose_a_race(database_url, client)
        shown = set(re.findall(r"^(\w+)", client.get("/metrics").text, re.MULTILINE))

    asked = set(re.findall(r"(\w+)[{\[]", queries))
    assert len(asked) == 4
    assert asked <= shown


def lose_a_race(url, client):
    """Somebody who does not use the library has the phone first, and commits when the webhook waits for that."""
    workspace = "00000000-0000-0000-0000-000000000001"
    sent = {"workspace_id": workspace, "provider_id": "1", "phone": "+1"}
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as threads:
        other.execute("INSERT INTO contacts (workspace_id, phone) VALUES (%s, '+1')", (workspace,))
        answer = threads.submit(client.post, "/webhooks/messages", json=sent)
        eventually(lambda: value(url, WAITING.format(other.info.backend_pid)), "a webhook that waits")
        other.commit()
        answer.result(30).raise_for_status()
