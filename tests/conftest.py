"""One server a session, one database a test.

`postgres` is the server, `database_url` an empty database, `crm_url` a filled one, `new_database` as many
more as a test wants, `alembic` the command in this process, `alembic_command` in one of its own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from sandbox import crm, servers
from sandbox.alembic_command import ROOT, command, environment
from sandbox.alembic_here import run_here
from sandbox.server_databases import EMPTY, database, filled_template

ALEMBIC_SECONDS = 120
LONG = ("properties", "faults", "test_locks.py", "test_kills.py", "test_writers.py")

CHOICE = pytest.StashKey[servers.Choice]()


class Alembic(Protocol):
    """Runs `alembic ARGS` of the checkout against `url`; `env` is added to the environment."""

    def __call__(self, url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]: ...


class NewDatabase(Protocol):
    """Makes a database, a clone of `template` where one is named, gives its URL, drops it after the test."""

    def __call__(self, template: str = EMPTY) -> str: ...


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[CHOICE] = servers.choose()
    except servers.ServerUnavailable as unavailable:
        raise pytest.UsageError(str(unavailable)) from unavailable


def pytest_report_header(config: pytest.Config) -> str:
    left_out = "" if _has_icu(config) else "; it was built without ICU: tests marked icu are left out, a container runs them"
    return f"PostgreSQL: {config.stash[CHOICE]}{left_out}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Nothing skips: what this way cannot run is not collected, and the other way fails where it cannot."""
    out = [] if _has_icu(config) else [item for item in items if item.get_closest_marker("icu")]
    config.hook.pytest_deselected(items=out)
    left_out = set(out)
    items[:] = [item for item in items if item not in left_out]
    if hasattr(config, "workerinput"):
        # What takes longest begins first: begun last, one process would run it while the others have nothing left.
        items.sort(key=lambda item: next((n for n, name in enumerate(LONG) if name in item.path.parts), len(LONG)))


def _has_icu(config: pytest.Config) -> bool:
    """The wheel's server has none; those of Debian and of the image do."""
    return config.stash[CHOICE].way != "embedded" or "POSTGRES_BIN" in os.environ


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[servers.Server]:
    """The session's server; its `url` is a superuser's."""
    with servers.server(pytestconfig.stash[CHOICE]) as server:
        yield server


@pytest.fixture(scope="session")
def crm_template(postgres: servers.Server) -> Iterator[str]:
    """The name of a database filled with the sample CRM, closed to connections."""
    with filled_template(postgres.url, crm.load) as name:
        yield name


@pytest.fixture
def new_database(postgres: servers.Server) -> Iterator[NewDatabase]:
    with ExitStack() as databases:

        def new(template: str = EMPTY) -> str:
            return databases.enter_context(database(postgres.url, template=template))

        yield new


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """An empty database of the test's own."""
    return new_database()


@pytest.fixture
def crm_url(new_database: NewDatabase, crm_template: str) -> str:
    """The sample CRM, the test's own copy."""
    return new_database(crm_template)


@pytest.fixture(scope="session")
def upgraded_template(postgres: servers.Server, crm_template: str, alembic_command: Alembic) -> Iterator[str]:
    """The name of a database with the sample CRM after `alembic upgrade head`."""

    def upgrade(url: str) -> None:
        done = alembic_command(url, "upgrade", "head", **crm.SETTINGS)
        assert done.returncode == 0, done.stderr

    with filled_template(postgres.url, upgrade, template=crm_template) as name:
        yield name


@pytest.fixture
def upgraded_url(new_database: NewDatabase, upgraded_template: str) -> str:
    """The upgraded CRM, the test's own copy."""
    return new_database(upgraded_template)


@pytest.fixture(scope="session")
def alembic() -> Alembic:
    """In this process."""
    return lambda url, *args, **env: run_here(list(args), environment(url, **env))


@pytest.fixture(scope="session")
def alembic_command() -> Alembic:
    """As a process of its own."""
    return lambda url, *args, **env: subprocess.run(
        command(*args),
        cwd=ROOT,
        env=environment(url, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ALEMBIC_SECONDS,
        check=False,
    )
