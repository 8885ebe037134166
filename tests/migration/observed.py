"""Small things that several tests do to a database, and a way to wait for what they want to see in it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import psycopg

from sandbox.alembic_command import ROOT, command, environment
from sandbox.snapshot import Snapshot

Rows: TypeAlias = list[tuple[Any, ...]]

DEADLINE = 60
EVERY = 0.005


def rows(url: str, query: str, *values: Any) -> Rows:
    with psycopg.connect(url) as connection:
        return connection.execute(query, values or None).fetchall()


def value(url: str, query: str, *values: Any) -> Any:
    return rows(url, query, *values)[0][0]


def shown(url: str, query: str) -> bool:
    """Whether the query gives true; not as long as a table that it looks into is not there."""
    try:
        return bool(value(url, query))
    except psycopg.errors.UndefinedTable:
        return False


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def eventually(condition: Callable[[], object], what: str, *, unless: Callable[[], bool] = lambda: False) -> None:
    """Return as soon as `condition` holds; fail after a minute, or at once when `unless` does."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert not unless(), f"it was over before {what}"
        assert time.monotonic() < end, f"a minute went by without {what}"
        time.sleep(EVERY)


@contextmanager
def running(url: str, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """`alembic ARGUMENTS` under way; killed at the end of the block where it is not over by then."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(url, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it puts in the background deaf to Ctrl-C, and that is handed down.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """Kill what runs with SIGKILL."""
    process.kill()
    assert process.wait() == -signal.SIGKILL


@contextmanager
def held(url: str, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has run `statements` and stays open."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection
        connection.rollback()


def ended(url: str) -> bool:
    """No session of a run is alive, idle ones included."""
    return not rows(url, RUNNERS)


RUNNERS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'contacts_schema%' AND pid <> pg_backend_pid()
"""
REMAINS = """
    SELECT format('index %s, valid %s', indexrelid::regclass, indisvalid) FROM pg_index
    WHERE NOT indisvalid OR indexrelid::regclass::text LIKE '%contacts_schema_lookup%'
    UNION ALL
    SELECT format('trigger %s', tgname) FROM pg_trigger WHERE tgname LIKE 'contacts_schema_guard%'
    UNION ALL
    SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE proname LIKE 'guard\\_%'
    UNION ALL
    SELECT format('relation %s', oid::regclass) FROM pg_class
    WHERE relname LIKE 'claims\\_%' AND relkind = 'r' OR relpersistence = 't'
    UNION ALL
    SELECT format('advisory lock of %s', pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND datname = current_database()
"""
"""What a run needs on its way and takes down in the end; nothing where it has."""


def remains(url: str) -> list[str]:
    """What runs have left behind, apart from the archive."""
    return [line for (line,) in rows(url, REMAINS)]


def without_stamps(taken: Snapshot) -> dict[str, dict[tuple[str, ...], list[str | None]]]:
    """A snapshot's rows without the columns that a trigger fills with the time."""
    return {
        name: {
            key: [text for text, (column, _) in zip(row, table.columns, strict=True) if column != "updated_at"]
            for key, row in table.rows.items()
        }
        for name, table in taken.items()
    }
