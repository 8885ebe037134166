"""What happens to the caller's transaction, to blank phones, to many contacts at once, and to bad input."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import psycopg
import pytest
import sqlalchemy
from psycopg import IsolationLevel
from sqlalchemy.orm import Session, registry

from contacts_schema.webhook import Contact, Contacts, find_or_create, is_duplicate
from tests.migration.observed import eventually, execute, value
from tests.webhook.clients import WORKSPACE, with_async_psycopg
from tests.webhook.conftest import TABLE

REPEATABLE = IsolationLevel.REPEATABLE_READ
BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 AND datname = current_database()"
)


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
    assert 500 < held[0] <= 2048


def test_names_of_any_kind_will_do(database_url):
    odd = Contacts(
        schema="Odd : one 1%%", table='con"tacts %s', workspace_column="Work:space", phone_column="pho%ne", id_column="i d"
    )
    table = TABLE.split(";")[0].split("(", 1)[1]
    for plain, other in (("id ", '"i d" '), ("workspace_id", '"Work:space"'), ("phone", '"pho%ne"')):
        table = table.replace(plain, other, 1)
    with psycopg.connect(database_url) as connection:
        connection.execute(f'CREATE SCHEMA "Odd : one 1%%"; CREATE TABLE "Odd : one 1%%"."con""tacts %s" ({table}'.encode())
        created = odd.find_or_create(connection, WORKSPACE, "+17770001", name="Ann")
        connection.commit()
        assert odd.resolve(connection, created.id) == created.id
        connection.commit()
        connection.isolation_level = REPEATABLE
        assert odd.find_or_create(connection, WORKSPACE, "+17770002").created
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


@pytest.mark.parametrize("waiting", [False, True], ids=["on its way", "waiting for a lock"])
def test_who_is_cancelled_leaves_no_transaction_open_and_the_callers_own_usable(plain_url, waiting):
    """At every statement in turn."""

    async def cancelled(connection, phone, steps):
        asked = asyncio.ensure_future(find_or_create(connection, WORKSPACE, phone))
        for _ in range(steps):
            await asyncio.sleep(0)
        if waiting:
            await asyncio.to_thread(eventually, lambda: value(plain_url, BLOCKED), "a wait")
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked

    async def autocommit():
        async with await psycopg.AsyncConnection.connect(plain_url, autocommit=True) as connection:
            for steps in range(5 if waiting else 60):
                await cancelled(connection, "+1666" if waiting else f"+1777{steps}", steps)
                assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            return await find_or_create(connection, WORKSPACE, "+17779999")

    async def own_transaction():
        async with await psycopg.AsyncConnection.connect(plain_url) as connection:
            await connection.execute("INSERT INTO contacts (workspace_id, name) VALUES (%s, 'kept')", (WORKSPACE,))
            await cancelled(connection, "+1666" if waiting else "+16667", 3)
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    with psycopg.connect(plain_url) as holder:
        find_or_create(holder, WORKSPACE, "+1666")
        created = asyncio.run(asyncio.wait_for(autocommit(), 60))
        if waiting:
            asyncio.run(asyncio.wait_for(own_transaction(), 60))
    assert value(plain_url, "SELECT count(*) FROM contacts WHERE id = %s", created.id) == 1
    assert value(plain_url, "SELECT count(*) FROM contacts WHERE name = 'kept'") == waiting


def test_what_is_awaited_in_a_transaction_belongs_to_it_wherever_it_was_called(plain_url):
    async def rolled_back():
        async with await psycopg.AsyncConnection.connect(plain_url, autocommit=True) as connection:
            asked = find_or_create(connection, WORKSPACE, "+17770001")
            async with connection.transaction(force_rollback=True):
                await asked

    asyncio.run(rolled_back())
    assert value(plain_url, "SELECT count(*) FROM contacts WHERE phone = '+17770001'") == 0


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_transaction_that_the_caller_began_by_hand_is_his(plain_url, driver):
    url = sqlalchemy.make_url(plain_url).set(drivername=f"postgresql+{driver}")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("BEGIN"))
        find_or_create(connection, WORKSPACE, "+17770001")
        connection.execute(sqlalchemy.text("ROLLBACK"))
        assert find_or_create(connection, WORKSPACE, "+17770001").created
    engine.dispose()


def test_what_a_session_has_pending_is_found(plain_url):
    mapped = registry()

    @mapped.mapped
    class Person:
        __table__ = sqlalchemy.Table(
            "contacts",
            mapped.metadata,
            sqlalchemy.Column("id", sqlalchemy.BigInteger, primary_key=True),
            sqlalchemy.Column("workspace_id", sqlalchemy.Uuid),
            sqlalchemy.Column("phone", sqlalchemy.Text),
        )

    engine = sqlalchemy.create_engine(sqlalchemy.make_url(plain_url).set(drivername="postgresql+psycopg"))
    with Session(engine) as session:
        session.add(pending := Person(workspace_id=uuid.UUID(WORKSPACE), phone="+17770001"))
        assert find_or_create(session, WORKSPACE, "+17770001") == Contact(pending.id, created=False)
    engine.dispose()


def test_loads_of_other_phones_meet_in_no_deadlock_once_duplicates_are_kept_out(in_phase):
    url = in_phase("constraint")
    barrier = Barrier(2)

    def load(prefix):
        with psycopg.connect(url) as connection:
            barrier.wait(30)
            return [find_or_create(connection, WORKSPACE, f"+{prefix}{n:04}").created for n in range(400)]

    with ThreadPoolExecutor(2) as threads:
        assert all(map(all, threads.map(load, (1, 2))))


def test_in_autocommit_an_isolation_level_makes_nobody_begin_again(plain_url):
    """Somebody commits between the look and the creation."""
    with psycopg.connect(plain_url, autocommit=True) as connection, psycopg.connect(plain_url) as holder:
        connection.execute("SET default_transaction_isolation = 'serializable'")
        held = find_or_create(holder, WORKSPACE, "+17770001")
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(find_or_create, connection, WORKSPACE, "+17770001")
            eventually(lambda: value(plain_url, BLOCKED), "a wait", unless=asked.done)
            holder.commit()
            assert asked.result(30) == Contact(held.id, created=False)


def test_the_first_error_is_told_when_the_connection_is_lost(plain_url):
    with psycopg.connect(plain_url) as holder, ThreadPoolExecutor(1) as threads:
        find_or_create(holder, WORKSPACE, "+17770001")
        connection = psycopg.connect(plain_url, autocommit=True)
        asked = threads.submit(find_or_create, connection, WORKSPACE, "+17770001")
        eventually(lambda: value(plain_url, BLOCKED), "a wait", unless=asked.done)
        value(plain_url, "SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        # Not "the connection is closed", which is what the clean-up met.
        with pytest.raises(psycopg.OperationalError, match=r"terminating connection|closed the connection unexpectedly"):
            asked.result(30)


@pytest.mark.parametrize("raw", [psycopg.RawCursor, psycopg.ClientCursor])
def test_the_callers_own_kind_of_cursor_does_not_matter(plain_url, raw):
    with psycopg.connect(plain_url, cursor_factory=raw) as connection:
        assert find_or_create(connection, WORKSPACE, "+17770001").created


def test_in_a_pipeline_it_is_refused(plain_url):
    with psycopg.connect(plain_url, autocommit=True) as connection:
        with connection.pipeline(), pytest.raises(psycopg.NotSupportedError, match="not possible in a pipeline"):
            find_or_create(connection, WORKSPACE, "+17770001")
        assert find_or_create(connection, WORKSPACE, "+17770001").created


def test_a_contact_that_a_trigger_swallows_is_a_clear_error(plain_url):
    execute(
        plain_url,
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER swallow BEFORE INSERT ON contacts FOR EACH ROW EXECUTE FUNCTION swallow()",
    )
    with psycopg.connect(plain_url) as connection, pytest.raises(RuntimeError, match="swallowed the new contact"):
        find_or_create(connection, WORKSPACE, "+17770001")


@pytest.mark.parametrize("phone", [15550009, b"+15550009", True])
def test_a_phone_that_is_no_text_is_a_clear_error(plain_url, phone):
    with psycopg.connect(plain_url) as connection, pytest.raises(TypeError, match="a phone is a str or None, not"):
        find_or_create(connection, WORKSPACE, phone)


@pytest.mark.parametrize(
    ("names", "error"),
    [({"table": None}, TypeError), ({"schema": ""}, ValueError), ({"survivor_order": 5}, TypeError),
     ({"phone_column": "a\0"}, ValueError)],
)  # fmt: skip
def test_names_that_are_none_are_clear_errors(names, error):
    with pytest.raises(error, match=next(iter(names))):
        Contacts(**names)


def test_the_guard_is_not_relied_on_where_it_does_not_fire(in_phase):
    """Two transactions that fire no triggers, the older of them at REPEATABLE READ."""
    url = in_phase("guard")
    with psycopg.connect(url) as older, psycopg.connect(url) as younger:
        older.isolation_level = REPEATABLE
        for connection in (older, younger):
            connection.execute("SET session_replication_role = replica")
        older.execute("SELECT 1")
        find_or_create(younger, WORKSPACE, "+17770001")
        younger.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            find_or_create(older, WORKSPACE, "+17770001")


def test_an_index_that_is_being_dropped_is_not_relied_on(plain_url):
    """Whoever looks while it goes is not waited for: its row may never be checked."""
    execute(plain_url, "DELETE FROM messages", "DELETE FROM contacts")
    with psycopg.connect(plain_url, autocommit=True) as other:
        other.execute("CREATE UNIQUE INDEX CONCURRENTLY unique_phone_workspace ON contacts (workspace_id, phone)")
    holder, first, second = (psycopg.connect(plain_url) for _ in range(3))
    with holder, first, second, psycopg.connect(plain_url, autocommit=True) as other, ThreadPoolExecutor(3) as threads:
        find_or_create(holder, WORKSPACE, "+17770001")
        dropped = threads.submit(other.execute, "DROP INDEX CONCURRENTLY unique_phone_workspace")
        eventually(lambda: value(plain_url, BLOCKED), "a drop that waits", unless=dropped.done)
        early = threads.submit(find_or_create, first, WORKSPACE, "+17770001")
        eventually(lambda: value(plain_url, BLOCKED) >= 2, "a wait", unless=early.done)
        holder.rollback()
        created = early.result(30)
        late = threads.submit(find_or_create, second, WORKSPACE, "+17770001")
        eventually(lambda: value(plain_url, BLOCKED) >= 1, "a wait", unless=late.done)
        first.commit()
        assert late.result(30) == Contact(created.id, created=False)
        second.commit()
        dropped.result(30)
    assert value(plain_url, "SELECT count(*) FROM contacts WHERE phone = '+17770001'") == 1


def test_while_the_index_is_built_anew_a_lost_race_is_still_one(in_phase):
    """The old index has another name then, and is asked first."""
    url = in_phase("constraint")
    loser, winner, reader = (psycopg.connect(url) for _ in range(3))
    with loser, winner, reader, psycopg.connect(url, autocommit=True) as other, ThreadPoolExecutor(2) as threads:
        reader.execute("SELECT count(*) FROM contacts")
        anew = threads.submit(other.execute, "REINDEX INDEX CONCURRENTLY unique_phone_workspace")
        eventually(lambda: value(url, BLOCKED), "a build that waits", unless=anew.done)
        reader.commit()
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM contacts")
        old = "SELECT count(*) FROM pg_class WHERE relname LIKE 'unique_phone_workspace_cc%%'"
        assert value(url, old) or anew.done()
        theirs = winner.execute(
            "INSERT INTO contacts (workspace_id, phone) VALUES (%s, '+17770001') RETURNING id", (WORKSPACE,)
        ).fetchone()
        asked = threads.submit(find_or_create, loser, WORKSPACE, "+17770001")
        waiting = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: value(url, waiting, loser.info.backend_pid), "our wait", unless=asked.done)
        winner.commit()
        assert asked.result(30) == Contact(theirs[0], created=False)
        loser.commit()
        reader.commit()
        anew.result(30)


@pytest.mark.parametrize("name", ["unique_phone_workspace_ccold", "unique_phone_workspace_ccnew1"])
def test_an_index_that_is_being_replaced_is_ours(database_url, name):
    execute(database_url, "CREATE TABLE contacts (phone text)", f"CREATE UNIQUE INDEX {name} ON contacts (phone)")
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.UniqueViolation) as raised:
        connection.execute("INSERT INTO contacts VALUES ('1'), ('1')")
    assert is_duplicate(raised.value)
