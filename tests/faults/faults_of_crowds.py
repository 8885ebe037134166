"""Faults that are others at work: more runs, masses of rows, strict transactions, TRUNCATE."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from threading import Event
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from sandbox.proofs import check
from sandbox.writers import Writers
from tests.faults.scene import Scene, running

ONE_STATEMENT: Final = 100_000
SINGLES: Final = 20_000
# Two in a thousand have the phone of the one before them: before the guard duplicates, after it a 23505 for all.
ROWS: Final = """
    SELECT (SELECT id FROM workspaces ORDER BY id LIMIT 1),
        '+1996' || lpad((n - (n %% %(every)s = 0)::int)::text, 7, '0'), 'bulk'
    FROM generate_series(1, %(count)s) AS n
"""
COUNT: Final = "SELECT count(*), count(DISTINCT phone) FROM contacts WHERE phone LIKE '+1996%'"
NO_DUPLICATE: Final = 1_000_000_000
# Rows of groups of before the upgrade, some of them merged already.
EDITABLE: Final = "SELECT id FROM contacts WHERE phone LIKE '+1555%' ORDER BY md5(id::text) LIMIT 2000"
BRIEF: Final = 2.0
"""Seconds in which nobody need have got in."""

Bulk = Callable[[psycopg.Connection[Any], int], int]
"""Writes rows, of which every n-th is a duplicate; gives how many phones they have."""


@contextmanager
def more_runs(scene: Scene) -> Iterator[None]:
    """A second and a third run of the same command; all of them have to succeed."""
    with ExitStack() as stack:
        runs = [stack.enter_context(running(scene.database_url, scene.direction, scene.settings)) for _ in range(2)]
        yield
        for run in runs:
            if not run.succeeded():
                scene.problems.append(f"one of several runs failed: {run.output.strip().splitlines()[-1:]}")


def one_statement(connection: psycopg.Connection[Any], every: int) -> int:
    """100,000 contacts in one INSERT."""
    connection.execute(
        f"INSERT INTO contacts (workspace_id, phone, name) {ROWS}".encode(), {"every": every, "count": ONE_STATEMENT}
    )
    return ONE_STATEMENT - ONE_STATEMENT // every


def singles(connection: psycopg.Connection[Any], every: int) -> int:
    """20,000 contacts in as many statements of one transaction."""
    rows = connection.execute(ROWS.encode(), {"every": every, "count": SINGLES}).fetchall()
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO contacts (workspace_id, phone, name) VALUES (%s, %s, %s)", rows)
    return SINGLES - SINGLES // every


def copied(connection: psycopg.Connection[Any], every: int) -> int:
    """20,000 contacts by COPY."""
    rows = connection.execute(ROWS.encode(), {"every": every, "count": SINGLES}).fetchall()
    with connection.cursor().copy("COPY contacts (workspace_id, phone, name) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    return SINGLES - SINGLES // every


@contextmanager
def bulk(scene: Scene, how: Bulk) -> Iterator[None]:
    """Masses of new contacts, in one go; without duplicates among them they must get in, and with some all or none."""
    every = scene.chance.choice([NO_DUPLICATE, NO_DUPLICATE, 500])
    with ThreadPoolExecutor(max_workers=1) as threads:
        written = threads.submit(_written, scene, how, every)
        yield
        phones = written.result()
    scene.claims.append(partial(_all_there, phones, exact=scene.direction == "upgrade"))


def _written(scene: Scene, how: Bulk, every: int) -> int:
    """How many phones were acknowledged."""
    with scene.connect() as connection:
        try:
            return how(connection, every)
        except psycopg.Error as error:
            if every == NO_DUPLICATE or error.sqlstate != "23505":
                scene.problems.append(f"masses of new contacts were rejected with {error.sqlstate}")
            return 0


def _all_there(phones: int, url: str, *, exact: bool) -> list[str]:
    with psycopg.connect(url) as connection:
        row = connection.execute(COUNT).fetchone()
    there, distinct = row or (0, 0)
    whole = distinct == phones and (there == phones or not exact)
    return [] if whole else [f"{distinct} of {phones} phones that were written at once are there, in {there} rows"]


@contextmanager
def strict_writers(scene: Scene) -> Iterator[None]:
    """More writers, at REPEATABLE READ or SERIALIZABLE, who may be told to try again but lose nothing."""
    level = scene.chance.choice(["serializable", "serializable", "repeatable read"])
    options = f"-c default_transaction_isolation={level.replace(' ', chr(92) + ' ')}"
    with Writers(make_conninfo(scene.url, options=options), rate=60, races=5, threads=4, seed=2) as writers:
        began = time.monotonic()
        yield
        report = writers.stop()
    if not report.contacts and time.monotonic() - began > BRIEF:
        scene.problems.append("no strict writer got in")
    wrong = {name: count for name, count in report.unexpected.items() if name not in ("40001", "40P01")}
    if wrong:
        scene.problems.append(f"strict writers were told {wrong}")
    scene.claims.append(partial(check, report=report))


@contextmanager
def edit(scene: Scene) -> Iterator[None]:
    """Somebody renames one after the other of the contacts that are being merged, or brought back."""
    over = Event()
    with ThreadPoolExecutor(max_workers=1) as threads:
        edited = threads.submit(_edited, scene, over)
        try:
            yield
        finally:
            over.set()
        names = edited.result()
    scene.missed = not names
    # The generated one follows.
    scene.edited |= {"name", "display_name"}
    scene.claims.append(partial(_names_are, names))
    scene.claims_back.append(partial(_names_are, names))


def _edited(scene: Scene, over: Event) -> dict[Any, str]:
    """The last name that each row was acknowledged to have; a row that is merged by then is not found, and tells so."""
    names: dict[Any, str] = {}
    with scene.connect() as connection:
        ids = [key for (key,) in connection.execute(EDITABLE.encode())]
        for turn in count():
            if over.is_set():
                return names
            key, name = scene.chance.choice(ids), f"edited {turn}"
            if connection.execute("UPDATE contacts SET name = %s WHERE id = %s", [name, key]).rowcount:
                names[key] = name
    return names


def _names_are(names: Mapping[Any, str], url: str) -> list[str]:
    """In the table, or in the archive where the row was merged since."""
    with psycopg.connect(url) as connection:
        archives = connection.execute("SELECT oid::regclass::text FROM pg_class WHERE relname ~ '^archive_[0-9]+_contacts$'")
        there: dict[Any, str] = {}
        for table in (*(name for (name,) in archives), "contacts"):
            there.update(connection.execute(f"SELECT id, name FROM {table}".encode()).fetchall())
    wrong = sorted(str(key) for key, name in names.items() if there.get(key) != name)
    return [f"contacts {', '.join(wrong[:8])} lost an acknowledged name"] if wrong else []


@contextmanager
def truncate(scene: Scene) -> Iterator[None]:
    """Somebody removes all contacts and what hangs on them. What was acknowledged later has to stay."""
    patient = Retrying(
        retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
        wait=wait_random(max=0.2),
        stop=stop_after_delay(20),
        reraise=True,
    )
    patient(_truncate, scene)
    yield


def _truncate(scene: Scene) -> None:
    with psycopg.connect(scene.url) as connection:
        connection.execute("SET LOCAL lock_timeout = '300ms'")
        # Whoever has written is waited for; whoever writes later waits.
        connection.execute("LOCK TABLE contacts, messages IN ACCESS EXCLUSIVE MODE")
        messages = connection.execute("SELECT id FROM messages").fetchall()
        contacts = connection.execute("SELECT workspace_id, phone FROM contacts").fetchall()
        connection.execute("TRUNCATE contacts CASCADE")
        connection.execute("INSERT INTO contacts (workspace_id, phone) SELECT id, '+1995' FROM workspaces")
    scene.gone_messages = {key for (key,) in messages}
    scene.gone_contacts = set(contacts)
