"""Scripts that `--sql` renders, and the ways in which people run them."""

from __future__ import annotations

import subprocess

import psycopg

from sandbox import crm
from sandbox.alembic_command import environment
from sandbox.alembic_here import run_here

__all__ = ["DOWN", "UP", "paste", "render", "rendered"]

UP = ("upgrade", "head", "--sql")
DOWN = ("downgrade", "unique_phone_workspace:base", "--sql")


def render(url: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `alembic ARGS` with what the sample CRM's owner declares; nothing is demanded of it."""
    return run_here(list(args), environment(url, **{**crm.SETTINGS, **env}))


def rendered(url: str, *args: str, **env: str) -> str:
    """The script that this gives."""
    done = render(url, *args, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def paste(url: str, script: str) -> list[tuple[object, ...]]:
    """Run a script as one string, as an SQL editor does; gives the rows of the last statement that has any."""
    found: list[tuple[object, ...]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(script.encode())
        while True:
            if cursor.description is not None:
                found = cursor.fetchall()
            if not cursor.nextset():
                return found
