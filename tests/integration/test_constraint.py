"""The unique index from every state that it can be found in, each made by a real server, to the constraint and back."""

from __future__ import annotations

import threading

import psycopg
import pytest

from contacts_schema.catalog.read import read_facts
from contacts_schema.constraint import Constraint, State
from contacts_schema.errors import LockNotAcquired
from contacts_schema.plan import make_plan
from contacts_schema.report import Silent
from contacts_schema.settings import Settings
from sandbox.proofs import constraint_is_valid, duplicate_groups
from tests.migration.observed import eventually, execute, held, remains, rows, shown, value

NAME = "unique_phone_workspace"
SMALL = """
    CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text);
    CREATE TABLE notes (id int PRIMARY KEY, contact_id int REFERENCES contacts ON DELETE CASCADE);
    INSERT INTO contacts VALUES (1, 1, '+155501'), (2, 1, '+155502'), (3, 2, '+155501');
    INSERT INTO notes VALUES (1, 1), (2, 2), (3, 3);
"""
TWIN = "INSERT INTO contacts VALUES (9, 1, '+155501'); INSERT INTO notes VALUES (9, 9)"
BUILD = f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON contacts (workspace_id, phone)"
FLAGS = f"SELECT indisready, indisvalid FROM pg_index WHERE indexrelid = '{NAME}'::regclass"
WAITS_FOR_WRITERS = """
    SELECT EXISTS (SELECT FROM pg_stat_progress_create_index
        WHERE datname = current_database() AND phase LIKE '%writers%')
"""
OLD_SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT FROM contacts")


@pytest.fixture
def url(database_url):
    execute(database_url, SMALL)
    return database_url


def constraint(connection, **settings):
    chosen = Settings(**settings)
    plan = make_plan(read_facts(connection, chosen), chosen)
    return Constraint(connection=connection, settings=chosen, table=plan.target, key=plan.key, progress=Silent())


@pytest.fixture
def connection(url):
    with psycopg.connect(url, autocommit=True) as connected:
        yield connected


def make_silent(url):
    """A dead index that enforces nothing: its build met a duplicate at once."""
    execute(url, TWIN)
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(url, BUILD)
    assert rows(url, FLAGS) == [(False, False)]


def make_enforcing(url):
    """A dead index that goes on enforcing: its build was given up in its last wait."""
    with held(url, *OLD_SNAPSHOT), psycopg.connect(url, autocommit=True) as builder:
        builder.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute(BUILD)
    assert rows(url, FLAGS) == [(True, False)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(url, TWIN)


def make_valid(url):
    execute(url, BUILD)


def make_attached(url):
    execute(url, f"ALTER TABLE contacts ADD CONSTRAINT {NAME} UNIQUE (workspace_id, phone)")


STATES = {
    "absent": (lambda url: None, State.ABSENT),
    "dead and silent": (make_silent, State.DEAD),
    "dead and enforcing": (make_enforcing, State.DEAD),
    "valid": (make_valid, State.VALID),
    "attached": (make_attached, State.ATTACHED),
}


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_recognized(url, connection, name):
    make, state = STATES[name]
    make(url)

    assert constraint(connection).state() is state


@pytest.mark.parametrize("name", STATES)
def test_an_upgrade_goes_on_from_each_state(url, alembic, name):
    STATES[name][0](url)

    done = alembic(url, "upgrade", "head")

    assert done.returncode == 0, done.stderr
    assert constraint_is_valid(url)
    assert duplicate_groups(url) == 0
    assert remains(url) == []
    assert value(url, "SELECT count(*) FROM notes") >= 3
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(url, TWIN)


@pytest.mark.parametrize("name", STATES)
def test_a_downgrade_leaves_nothing_of_any_state(url, alembic, name):
    alembic(url, "stamp", "unique_phone_workspace")
    STATES[name][0](url)

    done = alembic(url, "downgrade", "base")

    assert done.returncode == 0, done.stderr
    assert rows(url, f"SELECT FROM pg_class WHERE relname = '{NAME}'") == []
    assert remains(url) == []


@pytest.mark.parametrize("name", ["dead and silent", "dead and enforcing"])
def test_a_downgrade_of_an_upgrade_that_died_removes_the_dead_index(url, alembic, name):
    STATES[name][0](url)

    done = alembic(url, "upgrade", "dedupe_contacts")
    assert done.returncode == 0, done.stderr
    done = alembic(url, "downgrade", "base")

    assert done.returncode == 0, done.stderr
    assert rows(url, f"SELECT FROM pg_class WHERE relname = '{NAME}'") == []


def test_an_index_that_somebody_else_is_building_is_waited_for(url, connection):
    with psycopg.connect(url, autocommit=True) as other, held(url, "UPDATE contacts SET phone = phone") as writer:
        thread = threading.Thread(target=other.execute, args=(BUILD,))
        thread.start()
        eventually(lambda: shown(url, WAITS_FOR_WRITERS), "the other's build")
        assert constraint(connection).state() is State.BUILDING
        with pytest.raises(LockNotAcquired, match=f'no lock on index "{NAME}" after 2 attempts'):
            constraint(connection, lock_attempts=2).build(pytest.fail)

        writer.rollback()
        constraint(connection).build(pytest.fail)
        thread.join()

    assert constraint(connection).state() is State.VALID


def test_a_duplicate_that_no_trigger_saw_arrive_is_merged_and_the_index_built_again(url, alembic):
    assert alembic(url, "upgrade", "dedupe_contacts").returncode == 0
    # As replication does it.
    execute(url, f"SET session_replication_role = replica; {TWIN}")
    assert duplicate_groups(url) == 1

    done = alembic(url, "upgrade", "head")

    assert done.returncode == 0, done.stderr
    assert "building again" in done.stderr
    assert constraint_is_valid(url)
    assert rows(url, "SELECT contact_id FROM notes WHERE id = 9") == [(1,)]
    assert remains(url) == []


@pytest.mark.parametrize(
    "taken",
    [
        f"CREATE TABLE {NAME} (id int)",
        f"CREATE UNIQUE INDEX {NAME} ON contacts (phone, id)",
        f"ALTER TABLE contacts ADD CONSTRAINT {NAME} UNIQUE (id, phone)",
        f"CREATE INDEX {NAME} ON contacts (workspace_id, phone)",
        f"CREATE UNIQUE INDEX {NAME} ON contacts (workspace_id, phone) WHERE id > 0",
        f"CREATE UNIQUE INDEX {NAME} ON contacts (workspace_id, phone) NULLS NOT DISTINCT",
        f"ALTER TABLE contacts ADD CONSTRAINT {NAME} UNIQUE (workspace_id, phone) DEFERRABLE",
    ],
)
def test_a_name_that_means_something_else_is_refused_and_left_alone(url, alembic, taken):
    execute(url, taken)

    done = alembic(url, "upgrade", "head")

    assert done.returncode == 1
    assert "refused before the first change" in done.stderr
    assert f'"{NAME}"' in done.stderr
    assert value(url, f"SELECT count(*) FROM pg_class WHERE relname = '{NAME}'") == 1


@pytest.mark.parametrize("columns", ["workspace_id, phone", "phone, workspace_id"])
def test_a_constraint_that_means_the_same_is_enough(url, alembic, columns):
    execute(url, f"ALTER TABLE contacts ADD CONSTRAINT {NAME} UNIQUE ({columns})")

    done = alembic(url, "upgrade", "head")

    assert done.returncode == 0, done.stderr
    assert rows(url, "SELECT FROM pg_namespace WHERE nspname = 'contacts_schema'") == []


def test_dropping_and_attaching_twice_is_the_same_as_once(connection):
    found = constraint(connection)
    found.build(pytest.fail)
    found.attach(lambda: None)
    found.attach(lambda: None)
    assert found.state() is State.ATTACHED

    found.drop()
    found.drop()
    assert found.state() is State.ABSENT
