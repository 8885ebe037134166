"""What happens to the caller's transaction, to blank phones, to many contacts at once, and to bad input."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy
from psycopg import IsolationLevel
from sqlalchemy.orm import Session

from contacts_schema.webhook import Contact, Contacts, find_or_create
from tests.migration.observed import eventually, value
from tests.webhook.clients import WORKSPACE, with_async_psycopg
from tests.webhook.conftest import TABLE

REPEATABLE = IsolationLevel.REPEATABLE_READ


@pytest.fixture
def connection(url):
    with psycopg.connect(url) as connection:
        yield connection


@pytest.fixture
def plain_url(in_phase):
    return in_phase("no index")


def test_a_contact_is_created_once_and_found_from_then_on(connection):
    created = find_or_create(connection, WORKSPACE, "+17770001", name="Ann", email="a@example.com")
    found = find_or_create(connection, WORKSPACE, "+17770001", name="Bob")

    assert created == Contact(created.id, created=True)
    assert found == Contact(created.id, created=False)
    row = connection.execute("SELECT phone, name, email FROM contacts WHERE id = %s", (found.id,)).fetchone()
    assert row == ("+17770001", "Ann", "a@example.com")


def test_it_is_the_callers_transaction_that_commits(connection, url):
    find_or_create(connection, WORKSPACE, "+17770001")
    connection.rollback()

    assert find_or_create(connection, WORKSPACE, "+17770001").created
    connection.commit()
    with psycopg.connect(url) as other:
        assert not find_or_create(other, WORKSPACE, "+17770001").created


def test_in_autocommit_it_commits_by_itself_and_leaves_no_transaction_open(url):
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url) as other:
        created = find_or_create(connection, WORKSPACE, "+17770001")
        with pytest.raises(psycopg.errors.CheckViolation):
            find_or_create(connection, WORKSPACE, "+17770002", email="")

        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert find_or_create(other, WORKSPACE, "+17770001") == Contact(created.id, created=False)


def test_a_row_that_cannot_be_inserted_leaves_the_transaction_usable(connection):
    before = find_or_create(connection, WORKSPACE, "+17770001").id
    with pytest.raises(psycopg.errors.CheckViolation):
        find_or_create(connection, WORKSPACE, "+17770002", email="")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        find_or_create(connection, WORKSPACE, "+17770002", nickname="x")

    connection.execute("INSERT INTO messages (contact_id, body) VALUES (%s, 'kept')", (before,))
    connection.commit()
    assert connection.execute("SELECT count(*) FROM messages").fetchone() == (1,)


def test_a_duplicate_of_another_constraint_is_the_callers_own_matter(connection):
    find_or_create(connection, WORKSPACE, "+17770001", email="a@example.com")
    with pytest.raises(psycopg.errors.UniqueViolation) as raised:
        find_or_create(connection, WORKSPACE, "+17770002", email="a@example.com")
    assert raised.value.diag.constraint_name == "contacts_email_key"


@pytest.mark.parametrize("blank", [None, "", "  ", "\t\n"])
def test_a_blank_phone_is_none(connection, blank):
    first, second = (find_or_create(connection, WORKSPACE, blank) for _ in range(2))

    assert (first.created, second.created) == (True, True)
    assert first.id != second.id
    rows = connection.execute("SELECT phone FROM contacts WHERE id IN (%s, %s)", (first.id, second.id)).fetchall()
    assert rows == [(None,), (None,)]


@pytest.mark.parametrize("phase", ["guard", "index without constraint", "constraint"])
def test_who_inserts_without_us_wins_the_race_and_is_found(in_phase, phase):
    """Ours waits for the other's transaction, is rejected, and goes on with the other's row."""
    url = in_phase(phase)
    insert = "INSERT INTO contacts (workspace_id, phone) VALUES (%s, '+17770001') RETURNING id"
    waiting = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    with ThreadPoolExecutor(1) as threads, psycopg.connect(url) as winner, psycopg.connect(url) as loser:
        (theirs,) = winner.execute(insert, (WORKSPACE,)).fetchone()
        racing = threads.submit(find_or_create, loser, WORKSPACE, "+17770001")
        eventually(lambda: value(url, waiting, loser.info.backend_pid), "our wait", unless=racing.done)
        winner.commit()
        assert racing.result(30) == Contact(theirs, created=False)
        loser.execute("INSERT INTO messages (contact_id) VALUES (%s)", (theirs,))


def test_at_repeatable_read_an_old_transaction_is_told_to_begin_again(connection, url):
    connection.isolation_level = REPEATABLE
    connection.execute("SELECT 1")
    with psycopg.connect(url) as other:
        theirs = find_or_create(other, WORKSPACE, "+17770001")

    with pytest.raises(psycopg.errors.SerializationFailure):
        find_or_create(connection, WORKSPACE, "+17770001")
    connection.rollback()
    assert find_or_create(connection, WORKSPACE, "+17770001") == Contact(theirs.id, created=False)


@pytest.mark.parametrize("phase", ["guard", "index without constraint", "constraint"])
def test_at_repeatable_read_others_commits_do_not_matter_where_duplicates_are_kept_out(in_phase, phase):
    url = in_phase(phase)
    with psycopg.connect(url) as connection, psycopg.connect(url) as other:
        connection.isolation_level = REPEATABLE
        connection.execute("SELECT 1")
        find_or_create(other, WORKSPACE, "+17770002")
        other.commit()

        assert find_or_create(connection, WORKSPACE, "+17770001").created


def test_thousands_in_one_transaction_do_not_fill_the_lock_table(plain_url):
    with psycopg.connect(plain_url) as connection:
        for number in range(2500):
            find_or_create(connection, WORKSPACE, f"+1888{number}")
        held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()

    assert held is not None
    assert 500 < held[0] <= 1024


def test_names_of_any_kind_will_do(database_url):
    odd = Contacts(
        schema="Odd : one", table='con"tacts %s', workspace_column="Work:space", phone_column="pho%ne", id_column="i d"
    )
    table = TABLE.split(";")[0].split("(", 1)[1]
    for plain, other in (("id ", '"i d" '), ("workspace_id", '"Work:space"'), ("phone", '"pho%ne"')):
        table = table.replace(plain, other, 1)
    with psycopg.connect(database_url) as connection:
        connection.execute(f'CREATE SCHEMA "Odd : one"; CREATE TABLE "Odd : one"."con""tacts %s" ({table}'.encode())
        created = odd.find_or_create(connection, WORKSPACE, "+17770001", name="Ann")
        connection.commit()
        assert odd.resolve(connection, created.id) == created.id
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(database_url).set(drivername="postgresql+psycopg"))
    with Session(engine) as session:
        assert odd.find_or_create(session, WORKSPACE, "+17770001") == Contact(created.id, created=False)
    engine.dispose()


def test_of_several_rows_the_order_says_which_is_meant(plain_url):
    newest = Contacts(survivor_order="created_at DESC, id DESC")
    with psycopg.connect(plain_url) as connection:
        ids = connection.execute("SELECT id FROM contacts WHERE phone = '+15551' ORDER BY id").fetchall()
        workspace = "00000000-0000-0000-0000-000000000001"
        assert len(ids) == 2
        assert find_or_create(connection, workspace, "+15551").id == ids[0][0]
        assert newest.find_or_create(connection, workspace, "+15551").id == ids[1][0]


def test_the_callers_own_kind_of_rows_does_not_matter(plain_url):
    with psycopg.connect(plain_url, row_factory=psycopg.rows.dict_row) as connection:
        assert find_or_create(connection, WORKSPACE, "+17770001").created


def test_on_a_connection_that_waits_for_nobody_it_is_awaited(plain_url):
    async def twice():
        async with with_async_psycopg(plain_url, "READ COMMITTED") as begin, begin() as connection:
            created = await find_or_create(connection, WORKSPACE, "+17770001")
            with pytest.raises(psycopg.errors.CheckViolation):
                await find_or_create(connection, WORKSPACE, "+17770002", email="")
            return created, await find_or_create(connection, WORKSPACE, "+17770001")

    created, found = asyncio.run(twice())
    assert (created.created, found.created) == (True, False)
    assert created.id == found.id


@pytest.mark.parametrize("connection", [None, "postgresql://localhost/crm", object()])
def test_what_is_no_connection_is_a_clear_error(connection):
    with pytest.raises(TypeError, match="neither a connection of psycopg nor a Connection or Session of SQLAlchemy"):
        find_or_create(connection, WORKSPACE, "+17770001")


def test_the_key_is_no_attribute(plain_url):
    with psycopg.connect(plain_url) as connection, pytest.raises(TypeError, match='"phone" is given by its place'):
        find_or_create(connection, WORKSPACE, "+17770001", phone="+17770002")


def test_an_application_imports_neither_alembic_nor_sqlalchemy():
    code = "import sys, contacts_schema.webhook; sys.exit(any(name in sys.modules for name in ('alembic', 'sqlalchemy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
