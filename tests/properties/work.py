"""A random schema on the server: made, upgraded and downgraded in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias
from unittest import mock

import psycopg
from hypothesis import note

from contacts_schema import execute
from contacts_schema.rendering.downgrade import DowngradeScript
from contacts_schema.rendering.upgrade import UpgradeScript
from contacts_schema.report import Progress, Report, Silent
from contacts_schema.settings import Settings
from tests.operator.scripts import paste
from tests.properties.model import Schema
from tests.properties.script import belated, definition, loading

__all__ = ["downgrade", "downgrade_by_script", "make", "try_out", "upgrade", "upgrade_by_script"]

Render: TypeAlias = Callable[[psycopg.Connection[Any], Settings], list[str]]
Step: TypeAlias = Callable[[psycopg.Connection[Any], Settings, Progress], Report]

CAPS = ("contacts_schema.merge.worker.CAP", "contacts_schema.merge.passes.CAP", "contacts_schema.rehearsal.CAP")


def make(url: str, schema: Schema) -> None:
    """Empty the database and put the schema into it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA IF EXISTS contacts_schema CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        with connection.transaction():
            connection.execute(definition(schema).encode())
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            connection.execute(loading(schema).encode())
        connection.execute(belated(schema).encode())


def upgrade(url: str, schema: Schema) -> Report:
    """Both revisions; gives the report of the merge. Raises Refused."""
    with _small_batches(schema.cap):
        report, _ = _run(url, schema, execute.merge_duplicates, execute.add_constraint)
    return report


def downgrade(url: str, schema: Schema) -> Report:
    """Both revisions; gives the report of the restore."""
    _, report = _run(url, schema, execute.drop_constraint, execute.restore_duplicates)
    return report


def upgrade_by_script(url: str, schema: Schema) -> None:
    """Both revisions as one script. Raises Refused."""

    def render(connection: psycopg.Connection[Any], settings: Settings) -> list[str]:
        script = UpgradeScript(connection, settings)
        return [script.merge(), script.constrain()]

    _run_script(url, schema, render)


def downgrade_by_script(url: str, schema: Schema) -> list[str]:
    """Both revisions as one script; gives the lines that it tells."""

    def render(connection: psycopg.Connection[Any], settings: Settings) -> list[str]:
        steps = [DowngradeScript(connection, settings) for _ in range(2)]
        return [steps[0].unconstrain(), steps[1].restore(begun=True)]

    return [str(line) for (line,) in _run_script(url, schema, render)]


def _run_script(url: str, schema: Schema, render: Render) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        script = "\n".join(["BEGIN;", *render(connection, Settings(**schema.settings)), "COMMIT;"])
    note(script)
    return paste(url, script)


def try_out(url: str, statement: str) -> bool:
    """Execute it in a transaction; false where a constraint forbids it, at the commit perhaps."""
    try:
        with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
            connection.execute(statement.encode())
    except psycopg.IntegrityError:
        return False
    return True


def _run(url: str, schema: Schema, *steps: Step) -> list[Report]:
    settings = Settings(**schema.settings)
    with psycopg.connect(url, autocommit=True) as connection:
        return [step(connection, settings, Silent()) for step in steps]


@contextmanager
def _small_batches(cap: int | None) -> Iterator[None]:
    """Let groups of few rows be too large for one batch."""
    with ExitStack() as patches:
        for name in CAPS if cap else ():
            patches.enter_context(mock.patch(name, cap))
        yield
