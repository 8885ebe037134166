"""The contents of a database, exact to the bit, to compare before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql

Row: TypeAlias = tuple[str | None, ...]
Key: TypeAlias = tuple[str, ...]
Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table's rows as text, by primary key; without one, by the row itself and its occurrence."""

    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    rows: Mapping[Key, Row]


Snapshot: TypeAlias = Mapping[str, Table]

EXACT_TEXT: Final = """
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
    SET LOCAL row_security = off;
    SET LOCAL timezone = 'UTC';
    SET LOCAL datestyle = 'ISO';
    SET LOCAL intervalstyle = 'postgres';
    SET LOCAL bytea_output = 'hex';
    SET LOCAL extra_float_digits = 3;
    SET LOCAL search_path = '';
"""

# A partitioned table's rows are read from its partitions: where a row lies is part of what must come back.
TABLES: Final = """
    SELECT namespace.nspname, class.relname,
        array_agg(attribute.attname::text ORDER BY attribute.attnum),
        array_agg(format_type(attribute.atttypid, attribute.atttypmod) ORDER BY attribute.attnum),
        coalesce((
            SELECT array_agg(key.attname::text ORDER BY part.position)
            FROM pg_catalog.pg_index AS index,
                unnest(index.indkey::int2[]) WITH ORDINALITY AS part (attnum, position),
                pg_catalog.pg_attribute AS key
            WHERE index.indrelid = class.oid AND index.indisprimary
                AND key.attrelid = class.oid AND key.attnum = part.attnum
        ), '{}')
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = class.oid
    WHERE class.relkind = 'r' AND attribute.attnum > 0 AND NOT attribute.attisdropped
        AND namespace.nspname !~ '^pg_' AND namespace.nspname NOT IN ('information_schema', %(private)s)
        AND class.relname <> 'alembic_version'
    GROUP BY namespace.nspname, class.relname, class.oid
    ORDER BY 1, 2
"""


def snapshot(url: str, *, private_schema: str = "contacts_schema", hashed: bool = False) -> Snapshot:
    """Every row of every user table, in one consistent view of the database.

    Left out are PostgreSQL's own schemas, `private_schema` and `alembic_version`. With `hashed` a row is kept
    as one MD5 instead of its columns' text: for databases too large to hold in memory.
    """
    with psycopg.connect(url) as connection:
        connection.execute(EXACT_TEXT)
        tables = connection.execute(TABLES, {"private": private_schema}).fetchall()
        return {
            f"{schema}.{name}": _table(connection, sql.Identifier(schema, name), columns, types, key, hashed)
            for schema, name, columns, types, key in tables
        }


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """What differs, one line a row: table, primary key and names of columns, no value beside the key."""
    lines = [f"{name}: table is gone" for name in sorted(before.keys() - after.keys())]
    lines += [f"{name}: table is new" for name in sorted(after.keys() - before.keys())]
    for name in sorted(before.keys() & after.keys()):
        lines += [f"{name}{line}" for line in _table_difference(before[name], after[name])]
    return lines


def without_new_rows(before: Snapshot, after: Snapshot) -> Snapshot:
    """`after` without the tables and rows that `before` does not have: where others wrote in between."""
    return {
        name: Table(
            columns=table.columns,
            key=table.key,
            rows={key: row for key, row in table.rows.items() if key in before[name].rows},
        )
        for name, table in after.items()
        if name in before
    }


def row_count(taken: Snapshot) -> int:
    """How many rows the snapshot holds, all tables together."""
    return sum(len(table.rows) for table in taken.values())


def _table(
    connection: Connection,
    table: sql.Identifier,
    columns: Sequence[str],
    types: Sequence[str],
    key: Sequence[str],
    hashed: bool,
) -> Table:
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
    row = sql.SQL("pg_catalog.md5(ROW({})::text)" if hashed else "{}").format(texts)
    keys = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in key)
    query = sql.SQL("SELECT ARRAY[{}]::text[], ARRAY[{}]::text[] FROM ONLY {}").format(keys, row, table)
    found = ((tuple(key_texts), tuple(row_texts)) for key_texts, row_texts in connection.execute(query))
    return Table(
        columns=(("row", "md5"),) if hashed else tuple(zip(columns, types, strict=True)),
        key=tuple(key),
        rows=dict(found) if key else _keyless(row for _, row in found),
    )


def _keyless(rows: Iterable[Row]) -> dict[Key, Row]:
    """Equal rows are interchangeable: the first, the second ... of each is its key."""
    counted: Counter[Row] = Counter(rows)
    return {(*map(repr, row), str(nth)): row for row, count in counted.items() for nth in range(count)}


def _table_difference(before: Table, after: Table) -> list[str]:
    if (before.columns, before.key) != (after.columns, after.key):
        return [": columns or primary key differ"]
    if not before.key:
        gone, new = (len(a.rows.keys() - b.rows.keys()) for a, b in ((before, after), (after, before)))
        return [f": {gone} rows are gone and {new} are new (no primary key)"] if gone or new else []
    lines = [f"{_named(before, key)} is gone" for key in sorted(before.rows.keys() - after.rows.keys())]
    lines += [f"{_named(before, key)} is new" for key in sorted(after.rows.keys() - before.rows.keys())]
    for key in sorted(before.rows.keys() & after.rows.keys()):
        if before.rows[key] != after.rows[key]:
            changed = _changed(before, before.rows[key], after.rows[key])
            lines.append(f"{_named(before, key)} differs in {changed}")
    return lines


def _named(table: Table, key: Key) -> str:
    return f" ({', '.join(table.key)})=({', '.join(key)})"


def _changed(table: Table, before: Row, after: Row) -> str:
    triples = zip(table.columns, before, after, strict=True)
    return ", ".join(name for (name, _), old, new in triples if old != new)
