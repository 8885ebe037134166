"""What `python -m tests.faults` has found, each in its smallest form."""

from __future__ import annotations

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import NullPool, create_engine, event

from contacts_schema import operations, session
from contacts_schema.environment import _engine
from contacts_schema.errors import Interrupted
from contacts_schema.settings import Settings
from contacts_schema.url import database_url
from sandbox import crm
from sandbox.proofs import constraint_is_valid
from sandbox.server_databases import name_of
from tests.migration.observed import eventually, execute, held, rows, running, shown

VERSION_TABLE = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"
NO_STAMP = "LOCK TABLE alembic_version IN EXCLUSIVE MODE"
WAITS_FOR_STAMP = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'alembic_version'::regclass AND NOT granted)"
END_ALEMBIC = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'contacts_schema alembic'
"""
LONG_BUILD = """
    SELECT EXISTS (SELECT FROM pg_stat_progress_create_index JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'contacts_schema' AND now() - xact_start > interval '800 ms')
"""
ONE_WRITE = "UPDATE contacts SET name = name WHERE id = (SELECT id FROM contacts WHERE phone IS NULL LIMIT 1)"
LIMITS = "SELECT name FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout')"
KEEPALIVES = "SELECT current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_count')"


def limit(url, name, value):
    execute(url, f"ALTER DATABASE {name_of(url)} SET {name} = '{value}'")


def test_a_run_whose_alembic_connection_is_lost_says_that_it_was_interrupted(crm_url, migrate):
    execute(crm_url, VERSION_TABLE)
    with held(crm_url, NO_STAMP), running(crm_url, "upgrade", "head", **crm.SETTINGS) as process:
        eventually(lambda: shown(crm_url, WAITS_FOR_STAMP), "the stamp", unless=lambda: process.poll() is not None)
        execute(crm_url, END_ALEMBIC)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert said.strip().splitlines()[-1] == str(Interrupted())
    migrate(crm_url, "upgrade", "head")
    assert constraint_is_valid(crm_url)


def test_a_connection_that_is_lost_while_alembics_transaction_is_left_says_so_too(crm_url):
    """Alembic's autocommit block then fails with an error of SQLAlchemy's that names no cause."""
    engine = create_engine(database_url({"DATABASE_URL": crm_url}), poolclass=NullPool)

    @event.listens_for(engine, "before_cursor_execute")
    def lose(connection, cursor, statement, *_):
        if "current_setting('search_path')" in statement:
            execute(crm_url, f"SELECT pg_terminate_backend({cursor.connection.info.backend_pid}, 10000)")

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with pytest.raises(Interrupted), context.begin_transaction(_per_migration=True):
            operations.MergeDuplicatesOp.merge_duplicates(Operations(context))


@pytest.mark.parametrize("name", ["statement_timeout", "idle_in_transaction_session_timeout"])
def test_a_roles_limits_do_not_end_alembics_own_session(crm_url, name):
    """Its transaction is open while Python imports what a directive needs."""
    limit(crm_url, name, "10s")

    with _engine(database_url({"DATABASE_URL": crm_url}), "public").connect() as alembics:
        assert alembics.exec_driver_sql(f"SHOW {name}").scalar() == "0"


def test_a_limit_on_transactions_does_not_end_an_index_build(crm_url, migrate):
    """The server has one from PostgreSQL 17 on; the older ones have that of statements alone."""
    with held(crm_url, ONE_WRITE) as writer:
        # The writer's session is older than the limit; the build waits for it.
        for (name,) in rows(crm_url, LIMITS):
            limit(crm_url, name, "500ms")
        with running(crm_url, "upgrade", "head", **crm.SETTINGS) as process:
            eventually(lambda: shown(crm_url, LONG_BUILD), "a long build", unless=lambda: process.poll() is not None)
            writer.rollback()
            _, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert constraint_is_valid(crm_url)


def test_sessions_of_a_run_end_soon_after_their_client_is_gone_without_a_word(crm_url):
    with psycopg.connect(crm_url, autocommit=True) as connection:
        session.prepare(connection, Settings())
        assert connection.execute(KEEPALIVES).fetchone() == ("30", "3")
    with _engine(database_url({"DATABASE_URL": crm_url}), "public").connect() as alembics:
        assert alembics.exec_driver_sql(KEEPALIVES).one() == ("30", "3")
    assert rows(crm_url, KEEPALIVES) != [("30", "3")]
