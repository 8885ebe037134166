"""Autovacuum comes by when rows were removed, and stays for as long as the table is large: it must not keep a run out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import make_url

from sandbox.alembic_command import environment
from sandbox.alembic_here import run_here
from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.server_databases import database
from tests.faults.own_server import own_server
from tests.migration.observed import eventually, execute, held, rows, running, shown, value

TABLES = """
    CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id int NOT NULL, phone text, name text)
        WITH (autovacuum_enabled = off);
    CREATE TABLE messages (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contacts, body text)
        WITH (autovacuum_enabled = off);
    CREATE INDEX ON contacts (workspace_id, phone);
    CREATE INDEX ON messages (contact_id);
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION shout();
    INSERT INTO contacts SELECT g, 1, '+1555' || g / 2, repeat('x', 500) FROM generate_series(2, 8001) AS g;
    INSERT INTO messages SELECT g, g, repeat('x', 500) FROM generate_series(2, 8001) AS g;
    ANALYZE
"""
# A page a tenth of a second: there are some five hundred.
VACUUMED = """
    UPDATE {0} SET id = id;
    ALTER TABLE {0} SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)
"""
AT_WORK = "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = '{}'::regclass)"
LONG_VALUES = """
    UPDATE contacts SET name = (SELECT string_agg(md5(id::text || n), '') FROM generate_series(1, 80) AS n)
"""
ARCHIVE = """
    SELECT oid::regclass::text, reltoastrelid::regclass::text FROM pg_class
    WHERE relnamespace = to_regnamespace('contacts_schema') AND relname LIKE 'archive%contacts' AND relkind = 'r'
"""
LONG_VALUES_VACUUMED = """
    UPDATE {0} SET name = name || 'x';
    UPDATE {0} SET name = rtrim(name, 'x');
    ALTER TABLE {0} SET (toast.autovacuum_vacuum_threshold = 0, toast.autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_cost_delay = 100, toast.autovacuum_vacuum_cost_limit = 1)
"""
VACUUM_SLOWLY = ("SET vacuum_cost_delay = 100", "SET vacuum_cost_limit = 1", "VACUUM contacts")
WAITS_BEHIND_IT = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'contacts'::regclass
        AND mode = 'ShareUpdateExclusiveLock' AND NOT granted)
"""
WRITES = (
    "SET lock_timeout = '50ms'",
    "INSERT INTO contacts VALUES (0, 2, '+1')",
    "UPDATE contacts SET name = 'y' WHERE id = 0",
)
OWNER = """
    CREATE ROLE vacuumed LOGIN PASSWORD 'x';
    GRANT CREATE ON SCHEMA public TO vacuumed;
    GRANT CREATE ON DATABASE {} TO vacuumed;
    ALTER TABLE contacts OWNER TO vacuumed;
    ALTER TABLE messages OWNER TO vacuumed;
    ALTER FUNCTION shout OWNER TO vacuumed
"""
FEW = {"CONTACTS_SCHEMA_LOCK_ATTEMPTS": "4"}


@pytest.fixture(scope="module")
def vacuuming():
    with (
        TemporaryDirectory(prefix="contacts_schema.", ignore_cleanup_errors=True) as folder,
        own_server(Path(folder), autovacuum_naptime="1s") as server,
    ):
        yield server.url


@pytest.fixture
def url(vacuuming):
    with database(vacuuming) as made:
        execute(made, TABLES)
        yield made


def vacuum(url, table):
    execute(url, *VACUUMED.format(table).split(";"))
    eventually(lambda: shown(url, AT_WORK.format(table)), f"a vacuum of {table}")


@contextmanager
def vacuumed(url):
    """Somebody's own VACUUM, which yields to nobody."""
    with psycopg.connect(url, autocommit=True) as connection, ThreadPoolExecutor() as threads:
        done = threads.submit(lambda: [connection.execute(statement) for statement in VACUUM_SLOWLY])
        eventually(lambda: shown(url, AT_WORK.format("contacts")), "a vacuum", unless=done.done)
        try:
            yield
        finally:
            connection.cancel_safe()
            assert isinstance(done.exception(), psycopg.errors.QueryCanceled)


@pytest.fixture
def owner(url):
    """The way in of a role that owns the tables and sees nothing of others' sessions."""
    execute(url, *OWNER.format(make_url(url).database).split(";"))
    yield make_url(url).set(username="vacuumed", password="x").render_as_string(hide_password=False)
    execute(url, "DROP OWNED BY vacuumed CASCADE", "DROP ROLE vacuumed")


def migrate(url, *arguments):
    done = run_here(list(arguments), environment(url, **FEW))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("table", ["contacts", "messages"])
def test_an_upgrade_gets_past_an_autovacuum(url, table):
    vacuum(url, table)
    migrate(url, "upgrade", "head")

    assert constraint_is_valid(url)
    assert duplicate_groups(url) == 0


@pytest.mark.parametrize("table", ["contacts", "messages"])
def test_a_downgrade_gets_past_an_autovacuum(url, table):
    migrate(url, "upgrade", "head")
    vacuum(url, table)
    migrate(url, "downgrade", "base")

    assert not constraint_is_valid(url)
    assert value(url, "SELECT count(*) FROM contacts") == 8000


def test_a_downgrade_gets_past_an_autovacuum_of_the_archives_long_values(url):
    execute(url, LONG_VALUES)
    migrate(url, "upgrade", "head")
    archive, toast = rows(url, ARCHIVE)[0]
    execute(url, *LONG_VALUES_VACUUMED.format(archive).split(";"))
    eventually(lambda: shown(url, AT_WORK.format(toast)), "a vacuum of long values")
    migrate(url, "downgrade", "base")

    assert value(url, "SELECT count(*) FROM contacts") == 8000
    assert value(url, "SELECT to_regnamespace('contacts_schema')") is None


def test_what_yields_to_nobody_is_named_and_no_writer_waits_meanwhile(url, owner):
    with vacuumed(url), running(owner, "upgrade", "head", CONTACTS_SCHEMA_LOCK_ATTEMPTS="2") as process:
        eventually(lambda: shown(url, WAITS_BEHIND_IT), "the wait", unless=lambda: process.poll() is not None)
        execute(url, *WRITES)
        waiting = shown(url, WAITS_BEHIND_IT)
        said = process.communicate(timeout=60)[1]

    assert waiting
    assert process.returncode == 1
    assert "VACUUM" in said.splitlines()[-1]
    assert value(url, "SELECT name FROM contacts WHERE id = 0") == "y"


def test_a_session_that_shows_nothing_of_itself_is_named_by_its_lock(url, owner):
    once = {"CONTACTS_SCHEMA_LOCK_ATTEMPTS": "1"}

    with held(url, "LOCK TABLE contacts IN SHARE MODE") as holder, running(owner, "upgrade", "head", **once) as process:
        said = process.communicate(timeout=60)[1]
        named = f"held by backend {holder.info.backend_pid} ({holder.info.user});"

    assert process.returncode == 1
    assert named in said.splitlines()[-1]
