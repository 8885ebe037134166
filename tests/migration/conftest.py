"""What the tests of whole runs share: alembic with what the sample CRM's owner has to declare."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Protocol
from unittest.mock import patch

import pytest
from alembic.config import CommandLine

from sandbox import crm
from sandbox.alembic_command import ROOT, environment


class Migrate(Protocol):
    """Runs `alembic ARGS` and demands that it succeeds; `env` is added to the environment."""

    def __call__(self, url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]: ...


def run_here(args: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Alembic's own command line in this process: a new one would spend its time on imports."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with patch.dict(os.environ, env, clear=True), redirect_stdout(out), redirect_stderr(err):
        try:
            CommandLine(prog="alembic").main(["-c", str(ROOT / "alembic.ini"), *args])
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


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
