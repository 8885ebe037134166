"""What a database holds, row by row; a row is known by its mark, whatever becomes of its key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sandbox.snapshot import Snapshot, snapshot
from tests.properties.model import MARK, Link, Row, Schema, Table
from tests.properties.script import partition

__all__ = ["DANGLING", "Archived", "Image", "take"]

Values: TypeAlias = tuple[str | None, ...]

DANGLING: Final = "nobody"
"""Where a reference leads that no row answers."""


@dataclass(frozen=True, kw_only=True)
class Archived:
    """A removed row, and the primary key of the row that it went into."""

    row: Row
    into: Values


@dataclass(frozen=True, kw_only=True)
class Image:
    """`rows` and `archive` by table and mark. Rows of a table without marks have their number."""

    schema: Schema
    taken: Snapshot
    rows: Mapping[str, Mapping[str, Row]]
    archive: Mapping[str, Mapping[str, Archived]]
    found: dict[tuple[str, tuple[str, ...]], dict[Values, str]] = field(default_factory=dict, repr=False)

    def find(self, table: str, columns: tuple[str, ...], values: Values) -> str | None:
        """The mark of the row that has these values."""
        if (table, columns) not in self.found:
            self.found[table, columns] = {tuple(r[c] for c in columns): mark for mark, r in self.rows[table].items()}
        return self.found[table, columns].get(values)

    def leads_to(self, link: Link, row: Row) -> str | None:
        """The mark of the row that a row refers to, None where it refers to none."""
        values = tuple(row[column] for column in link.columns)
        return None if None in values else self.find(link.parent, link.parent_columns, values) or DANGLING

    def dangling(self) -> Iterator[str]:
        """Foreign keys that lead nowhere."""
        for table in self.schema.tables:
            for link in (link for link in table.links if not link.may_dangle):
                for mark, row in self.rows[table.name].items():
                    if self.leads_to(link, row) == DANGLING:
                        yield f"{table.name} {mark}: {link.columns} leads nowhere"


def take(url: str, schema: Schema) -> Image:
    taken = snapshot(url, private_schema="")
    rows = {table.name: dict(_rows(taken, *_places(table))) for table in schema.tables}
    return Image(
        schema=schema,
        taken={name: held for name, held in taken.items() if name.startswith("public.")},
        rows=rows,
        archive={table.name: dict(_archived(taken, table)) for table in schema.tables},
    )


def _places(table: Table) -> list[str]:
    """Where its rows lie."""
    names = [partition(table.name, rest) for rest in range(2)] if table.partitioned else [table.name]
    return [f"public.{name}" for name in names]


def _rows(taken: Snapshot, *names: str) -> Iterator[tuple[str, Row]]:
    tables = [(taken[name], [column for column, _ in taken[name].columns]) for name in names]
    found = (dict(zip(columns, texts, strict=True)) for table, columns in tables for texts in table.rows.values())
    for number, row in enumerate(found):
        yield row.get(MARK) or str(number), row


def _archived(taken: Snapshot, table: Table) -> Iterator[tuple[str, Archived]]:
    for name in taken:
        if re.fullmatch(rf"contacts_schema\.archive_\d+_{table.name}", name):
            for mark, row in _rows(taken, name):
                into = tuple(value for column, value in row.items() if column.startswith("~into"))
                yield mark, Archived(row={c: v for c, v in row.items() if not c.startswith("~")}, into=into)
