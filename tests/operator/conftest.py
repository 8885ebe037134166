"""The command `contacts-schema`, run in this process, and its JSON."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from typing import Any
from unittest.mock import patch

import pytest

from contacts_schema.cli import main
from sandbox import crm
from sandbox.alembic_command import environment
from sandbox.alembic_here import run_here
from sandbox.server_binaries import find
from tests.migration.observed import value

Command = Callable[..., subprocess.CompletedProcess[str]]


def run(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment(url, **env), clear=True),
        patch("sys.argv", ["contacts-schema", *args]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(args, int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture
def elsewhere(tmp_path):
    """A directory without an alembic.ini."""
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def command(elsewhere) -> Command:
    """Run `contacts-schema ARGS`, away from this project's alembic.ini."""
    return run


@pytest.fixture
def crm_command(command) -> Command:
    """The same with what the sample CRM's owner declares."""
    return lambda url, *args, **env: run(url, *args, **{**crm.SETTINGS, **env})


@pytest.fixture
def upgraded():
    """Run alembic, with what the sample CRM's owner declares where it is that."""

    def migrate(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        declared = crm.SETTINGS if value(url, "SELECT to_regclass('activities') IS NOT NULL") else {}
        done = run_here(list(args), environment(url, **{**declared, **env}))
        assert done.returncode == 0, done.stderr
        return done

    return migrate


@pytest.fixture(scope="session")
def psql_command():
    """Run a script through psql, as its documentation has it."""
    # The newest one, whatever the server: builds of single versions come without it.
    binary = find({"PATH": os.environ["PATH"]}) / "psql"

    def run(url: str, script: str, how: str = "ON_ERROR_STOP=1") -> subprocess.CompletedProcess[str]:
        options = ["-X", "-q", "-v", how, "-d", url]
        return subprocess.run([str(binary), *options], input=script, capture_output=True, text=True, check=False)

    return run


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)
