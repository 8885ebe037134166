"""Where a run is struck: at what it has reached, as the catalog shows it, not at a time."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, TypeAlias

import psycopg

Direction: TypeAlias = Literal["upgrade", "downgrade"]

EVERY: Final = 0.003


@dataclass(frozen=True, kw_only=True)
class Point:
    """A thing that a run has done; `shows` is a query that gives true from then on, for the rest of the run."""

    name: str
    shows: str


def point_of(direction: Direction, batches: int, chance: Random) -> Point:
    """One of the points of a run in some `batches` batches; between two of these in four cases of ten."""
    number = chance.randint(1, max(1, batches - 1))
    if chance.random() < 0.4:
        return _after_batch(number) if direction == "upgrade" else _batches_left(number)
    return chance.choice(UPGRADE if direction == "upgrade" else DOWNGRADE)


def _after_batch(number: int) -> Point:
    return Point(name=f"batch {number} merged", shows=f"SELECT count(*) >= {number} FROM contacts_schema.batch")


def _batches_left(number: int) -> Point:
    return Point(name=f"{number} batches left", shows=f"SELECT count(*) <= {number} FROM contacts_schema.batch")


def _index(name: str, valid: str) -> str:
    there = f"SELECT FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname LIKE '{name}'"
    return f"SELECT EXISTS ({there} AND {valid})"


def _triggers(name: str, number: int) -> str:
    return f"SELECT count(*) >= {number} FROM pg_trigger WHERE starts_with(tgname, '{name}')"


AT_WORK: Final = "datname = current_database() AND application_name = 'contacts_schema'"
STAMPED: Final = "SELECT EXISTS (SELECT FROM alembic_version)"
ATTACHED: Final = "SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = 'unique_phone_workspace')"
FORWARDING: Final = "FROM pg_trigger WHERE starts_with(tgname, '00_contacts_schema')"

UPGRADE: Final = (
    Point(name="connected", shows=f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE {AT_WORK})"),
    Point(name="archive made", shows="SELECT to_regclass('contacts_schema.op') IS NOT NULL"),
    Point(name="lookup index begun", shows=_index("contacts_schema_lookup%", "true")),
    Point(name="lookup index valid", shows=_index("contacts_schema_lookup%", "indisvalid")),
    Point(name="guard up", shows=_triggers("contacts_schema_guard", 2)),
    Point(name="first forwarding trigger up", shows=_triggers("00_contacts_schema", 1)),
    Point(name="third forwarding trigger up", shows=_triggers("00_contacts_schema", 3)),
    Point(name="first revision stamped", shows=STAMPED),
    Point(name="unique index begun", shows=_index("unique_phone_workspace", "true")),
    Point(name="unique index enforcing", shows=_index("unique_phone_workspace", "indisready")),
    Point(name="unique index valid", shows=_index("unique_phone_workspace", "indisvalid")),
    Point(name="constraint attached", shows=ATTACHED),
    Point(name="forwarding triggers gone", shows=f"{ATTACHED[:-1]} AND NOT EXISTS (SELECT {FORWARDING}))"),
)
DOWNGRADE: Final = (
    Point(name="connected", shows=f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE {AT_WORK})"),
    Point(name="constraint dropped", shows=f"SELECT NOT ({ATTACHED})"),
    Point(name="revision stamped", shows="SELECT version_num = 'dedupe_contacts' FROM alembic_version"),
    Point(name="all batches undone", shows="SELECT count(*) = 0 FROM contacts_schema.batch"),
)


def reached(point: Point, url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the point; false where the run was over before it was seen."""
    with psycopg.connect(url, autocommit=True) as connection:
        while not _shows(connection, point):
            if process.poll() is not None:
                return False
            time.sleep(EVERY)
    return process.poll() is None


def _shows(connection: psycopg.Connection[tuple[bool, ...]], point: Point) -> bool:
    try:
        row = connection.execute(point.shows.encode()).fetchone()
    except psycopg.errors.UndefinedTable:
        return False
    return bool(row and row[0])
