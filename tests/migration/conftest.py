"""What the tests of whole runs share: alembic with what the sample CRM's owner has to declare."""

from __future__ import annotations

import subprocess
from typing import Protocol

import pytest

from sandbox import crm
from sandbox.alembic_command import environment
from sandbox.alembic_here import run_here


class Migrate(Protocol):
    """Runs `alembic ARGS` and demands that it succeeds; `env` is added to the environment."""

    def __call__(self, url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def migrate_plain() -> Migrate:
    """For a schema without references to declare."""

    def run(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = run_here(list(args), environment(url, **env))
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def migrate(migrate_plain: Migrate) -> Migrate:
    """For the sample CRM."""

    def run(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return migrate_plain(url, *args, **{**crm.SETTINGS, **env})

    return run
