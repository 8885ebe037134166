"""What the tests of whole runs share: alembic with what the sample CRM's owner has to declare."""

from __future__ import annotations

import subprocess
from typing import Protocol

import pytest

from sandbox import crm


class Migrate(Protocol):
    """Runs `alembic ARGS` and demands that it succeeds; `env` is added to the environment."""

    def __call__(self, url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def migrate(alembic: Migrate) -> Migrate:
    def run(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = alembic(url, *args, **{**crm.SETTINGS, **env})
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def migrate_plain(alembic: Migrate) -> Migrate:
    """The same for a schema without references to declare."""

    def run(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = alembic(url, *args, **env)
        assert done.returncode == 0, done.stderr
        return done

    return run
