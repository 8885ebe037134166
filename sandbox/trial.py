"""A merge on trial: run on a database, taken back, and compared with what was there before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg

from contacts_schema import execute
from contacts_schema.errors import Reason, Refused
from contacts_schema.report import Progress, Report, Silent
from contacts_schema.settings import Settings
from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure

__all__ = ["CONTACTS", "add_constraint", "drop_constraint", "merge", "query", "reasons", "restore", "round_trip", "run"]

Work = Callable[[psycopg.Connection[Any], Settings, Progress], Report]

CONTACTS: Final = """
    CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id bigint, phone text, name text);
    INSERT INTO contacts VALUES
        (1, 1, '+15550001', 'first'), (2, 1, '+15550001', 'second'), (3, 1, '+15550001', 'third'),
        (4, 1, '+15550002', 'other'), (5, 2, '+15550001', 'elsewhere'), (6, 2, '+15550001', 'elsewhere too'),
        (7, 1, NULL, 'no phone'), (8, 1, NULL, 'no phone'), (9, NULL, '+15550001', 'no workspace'),
        (10, NULL, '+15550001', 'no workspace');
"""
"""A small table: 1, 2 and 3 are one contact, 5 and 6 another; the rest are nobody's duplicates."""


def run(url: str, *statements: str) -> None:
    """Execute scripts, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a SELECT."""
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def merge(url: str, **settings: Any) -> Report:
    """Merge the duplicates of the database at `url`; `settings` are arguments of `Settings`."""
    return _work(execute.merge_duplicates, url, settings)


def add_constraint(url: str, **settings: Any) -> Report:
    """Put the constraint in place."""
    return _work(execute.add_constraint, url, settings)


def drop_constraint(url: str, **settings: Any) -> Report:
    """Take it away, and the guard."""
    return _work(execute.drop_constraint, url, settings)


def restore(url: str, **settings: Any) -> Report:
    """Bring them back."""
    return _work(execute.restore_duplicates, url, settings)


def reasons(url: str, worker: str | None = None, **settings: Any) -> tuple[Reason, ...]:
    """Return why a merge is refused, none where it succeeds; assert that a refusal changed nothing at all.

    `worker` is the URL that the merge itself uses, where that is another role's.
    """
    before = _everything(url)
    try:
        merge(worker or url, **settings)
    except Refused as refused:
        assert difference(before[0], _everything(url)[0]) == []
        assert before[1] == structure(url)
        return refused.reasons
    return ()


def round_trip(url: str, look: Callable[[], None] | None = None, **settings: Any) -> Report:
    """Merge, `look` at the result, restore; assert that everything is back. Return the report of the merge."""
    before = _everything(url)
    report = merge(url, **settings)
    if look is not None:
        look()
    restored = restore(url, **settings)
    assert restored.kept == ()
    assert difference(before[0], snapshot(url)) == []
    assert sorted(before[1] ^ structure(url)) == []
    return report


def _everything(url: str) -> tuple[Mapping[str, Any], frozenset[str]]:
    return snapshot(url), structure(url)


def _work(work: Work, url: str, settings: Mapping[str, Any]) -> Report:
    with psycopg.connect(url, autocommit=True) as connection:
        return work(connection, Settings(**settings), Silent())
