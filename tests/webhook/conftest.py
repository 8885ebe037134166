"""The phases of a contacts table's life, each as a database, and every way to connect to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from sandbox import servers
from sandbox.alembic_command import environment
from sandbox.alembic_here import run_here
from sandbox.server_databases import filled_template
from tests.conftest import NewDatabase

TABLE = """
    CREATE TABLE contacts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workspace_id uuid NOT NULL, phone text, name text,
        email text UNIQUE CHECK (email <> ''), created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE messages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE, body text);
    CREATE INDEX ON messages (contact_id);
    INSERT INTO contacts (workspace_id, phone)
    SELECT '00000000-0000-0000-0000-000000000001', '+1555' || n / 2 FROM generate_series(2, 21) AS n;
"""
BUILD = "CREATE UNIQUE INDEX CONCURRENTLY unique_phone_workspace ON contacts (workspace_id, phone)"


def no_index(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)


def guard(url: str) -> None:
    no_index(url)
    migrate(url, "upgrade", "dedupe_contacts")


def index(url: str) -> None:
    guard(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BUILD)


def constraint(url: str) -> None:
    no_index(url)
    migrate(url, "upgrade", "head")


def rolled_back(url: str) -> None:
    constraint(url)
    migrate(url, "downgrade", "base")


PHASES: dict[str, Callable[[str], None]] = {
    "no index": no_index,
    "guard": guard,
    "index without constraint": index,
    "constraint": constraint,
    "rolled back": rolled_back,
}


def migrate(url: str, *args: str) -> None:
    done = run_here(list(args), environment(url))
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def templates(postgres: servers.Server) -> Iterator[Callable[[str], str]]:
    made: dict[str, str] = {}
    with ExitStack() as stack:

        def template(phase: str) -> str:
            if phase not in made:
                made[phase] = stack.enter_context(filled_template(postgres.url, PHASES[phase]))
            return made[phase]

        yield template


@pytest.fixture
def in_phase(new_database: NewDatabase, templates: Callable[[str], str]) -> Callable[[str], str]:
    """Gives the URL of a database in a phase, the test's own copy."""
    return lambda phase: new_database(templates(phase))


@pytest.fixture(params=PHASES)
def phase(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(in_phase: Callable[[str], str], phase: str) -> str:
    """A database in each of the phases."""
    return in_phase(phase)
