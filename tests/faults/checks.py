"""What has to be true of a database after a fault, however it was struck."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
from psycopg import sql

from sandbox.proofs import check, constraint_is_valid, duplicate_groups
from sandbox.snapshot import Snapshot, Table, difference, without_new_rows
from sandbox.writers import CONSTRAINT, WriterReport
from tests.faults.place import State
from tests.faults.scene import Scene, until

SHOWN: Final = 8
STAMPS: Final = frozenset({"created_at", "updated_at"})
REFERENCES: Final = """
    SELECT conrelid::regclass::text, confrelid::regclass::text,
        ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS k (n, i) JOIN pg_attribute
            ON attrelid = conrelid AND attnum = n ORDER BY i),
        ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS k (n, i) JOIN pg_attribute
            ON attrelid = confrelid AND attnum = n ORDER BY i)
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
"""
DANGLING: Final = """
    SELECT count(*) FROM {child} AS child
    WHERE ROW({columns}) IS NOT NULL AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE {same})
"""
ORPHANS: Final = """
    SELECT id::text FROM activities WHERE subject_type = 'Contact'
        AND NOT EXISTS (SELECT FROM contacts WHERE contacts.id = subject_id)
"""
# Sessions and locks end a moment after their client; autovacuum takes part in neither.
LEFT: Final = """
    SELECT 'session of a run: ' || application_name FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'contacts_schema%'
    UNION ALL
    SELECT 'advisory lock of ' || pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND datname = current_database()
"""


def lost_contacts(url: str, report: WriterReport, scene: Scene) -> list[str]:
    """Acknowledged contacts that are not there under their own id: after the way back nothing is merged any more."""
    ids = [c.id for c in report.contacts if (c.workspace_id, c.phone) not in scene.gone_contacts]
    with psycopg.connect(url) as connection:
        there = {key for (key,) in connection.execute("SELECT id FROM contacts WHERE id = ANY (%s)", [ids])}
    return [f"contact {key} is not back" for key in ids if key not in there][:SHOWN]


def lost_writes(url: str, report: WriterReport, scene: Scene) -> list[str]:
    """Acknowledged writes that are not there, but for those that the fault took away on purpose."""
    messages = tuple(m for m in report.messages if m.id not in scene.gone_messages)
    contacts = tuple(c for c in report.contacts if (c.workspace_id, c.phone) not in scene.gone_contacts)
    known = replace(report, messages=messages, contacts=contacts, names=_settled(url, report.names))
    return check(url, known)[:SHOWN]


def _settled(url: str, names: Mapping[Any, str]) -> dict[Any, str]:
    """A later name of the same writer may be there without having been acknowledged: the answer was lost."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT id, name FROM contacts WHERE id = ANY (%s)", [list(names)]).fetchall()
    return {**names, **{key: name for key, name in found if name and _turn(name) > _turn(names[key])}}


def _turn(name: str) -> int:
    """Names are `writer SEED/THREAD/TURN`."""
    last = name.rpartition("/")[2]
    return int(last) if last.isdigit() else -1


def upgraded(url: str) -> list[str]:
    """Duplicates, or no constraint."""
    groups = duplicate_groups(url)
    lines = [f"{groups} groups of duplicates"] if groups else []
    return lines if constraint_is_valid(url) else [*lines, f"{CONSTRAINT} is not there or not valid"]


def dangling(url: str) -> list[str]:
    """Foreign keys that lead nowhere, counted; a crash of the server can make none, a trigger switched off can."""
    with psycopg.connect(url) as connection:
        lines = []
        for child, parent, columns, referenced in connection.execute(REFERENCES).fetchall():
            row = connection.execute(_dangling(child, parent, columns, referenced)).fetchone()
            lines += [f"{row[0]} rows of {child} refer to nothing in {parent}"] if row and row[0] else []
        return lines


def _dangling(child: str, parent: str, columns: list[str], referenced: list[str]) -> sql.Composed:
    own = [sql.SQL("child.{}").format(sql.Identifier(name)) for name in columns]
    same = [
        sql.SQL("parent.{} = {}").format(sql.Identifier(name), column) for name, column in zip(referenced, own, strict=True)
    ]
    return sql.SQL(DANGLING).format(
        child=sql.SQL(child),
        parent=sql.SQL(parent),
        columns=sql.SQL(", ").join(own),
        same=sql.SQL(" AND ").join(same),
    )


def orphans(url: str) -> list[str]:
    """References without a foreign key that lead nowhere."""
    with psycopg.connect(url) as connection:
        found = connection.execute(ORPHANS).fetchall()
    return [f"{len(found)} activities refer to no contact"] if found else []


def left_over(url: str) -> list[str]:
    """Sessions and locks of runs that are still there after ten seconds."""
    lines: list[str] = []

    def nothing() -> bool:
        with psycopg.connect(url) as connection:
            lines[:] = [line for (line,) in connection.execute(LEFT)]
        return not lines

    return [] if until(nothing, 10) else lines


def stray(found: State, expected: State, made: Sequence[str] = ()) -> list[str]:
    """Objects that are there and should not be, or the other way round. How many archive tables there are is open."""
    there, wanted = (
        {line for line in state.structure if _counts(line) and not any(name in line for name in made)}
        for state in (found, expected)
    )
    lines = [f"left behind: {line}" for line in sorted(there - wanted)]
    return (lines + [f"missing: {line}" for line in sorted(wanted - there)])[:SHOWN]


def _counts(line: str) -> bool:
    ours = "contacts_schema." in line
    return not ours or line.startswith(("function", "trigger")) or "claims_" in line or line.endswith("valid f")


def changed_rows(found: State, expected: State, edited: Collection[str] = ()) -> list[str]:
    """Rows of before that differ from `expected`; what writers added does not count, nor do columns that were `edited`.

    Which of two equal child rows stays, and when a trigger stamped it, is not promised.
    """
    return _difference(expected, found, {*STAMPS, *edited})


def _difference(expected: State, found: State, ignored: Collection[str]) -> list[str]:
    there = without_new_rows(expected.rows, found.rows)
    return difference(_without(expected.rows, ignored), _without(there, ignored))[:SHOWN]


def _without(taken: Snapshot, columns: Collection[str]) -> Snapshot:
    result = {}
    for name, table in taken.items():
        kept = [number for number, (column, _) in enumerate(table.columns) if column not in columns]
        rows = {key: tuple(row[number] for number in kept) for key, row in table.rows.items()}
        result[name] = Table(columns=tuple(table.columns[number] for number in kept), key=table.key, rows=rows)
    return result


def not_back(found: State, before: State, made: Sequence[str] = (), edited: Collection[str] = ()) -> list[str]:
    """Rows and objects that are not as they were before the upgrade, to the bit."""
    return [*_difference(before, found, edited), *stray(found, before, made)]
