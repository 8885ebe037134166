"""What the private schema's tables are made of, and named. Composes text; runs nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from psycopg import sql

from .catalog.facts import Table
from .compose import Fragment, comma, ident, literal, template
from .sql import load

_SQL = load("archive")
REGISTRY = ("run", "batch", "relation", "op")
_CREATE = ("create_run", "create_batch", "create_relation", "create_op", "index_op")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An archive or journal table as it has to be: the columns that it holds, and which of them we set ourselves."""

    kind: str
    table: Table
    numbers: tuple[int, ...]
    moving: tuple[int, ...]

    @cached_property
    def shape(self) -> str:
        """A value for what must be unchanged for a new row to fit an older table. Short, to be indexed."""
        held = [self.table.by_number[n] for n in self.numbers]
        columns = [(c.number, c.type, c.collation, c.name) for c in held]
        keys = [(n, self.table.by_number[n].type) for n in self.table.primary_key]
        return sha256(json.dumps([columns, keys, list(self.moving)]).encode()).hexdigest()

    def name(self, number: int) -> str:
        """A name that no other archive or journal table has, within the 63 bytes that the server takes."""
        return f"{self.kind}_{number}_{self.table.name}".encode()[:60].decode(errors="ignore")

    def creating(self, schema: str, name: str) -> Iterator[sql.Composed]:
        """The statements that create the table, closed to others only by :func:`closing_of`."""
        relation, source = ident(schema, name), ident(self.table.schema, self.table.name)
        columns = self._archived() if self.kind == "archive" else self._journaled()
        yield _SQL["create_table"].format(table=relation, columns=comma(columns), source=source)
        yield _SQL["add_identity"].format(table=relation)
        if self.kind == "archive":
            keys = comma(self._column(n) for n in self.table.primary_key)
            yield _SQL["index_table"].format(table=relation, columns=keys)
        yield secure(schema, name)

    def registered(self, name: str) -> dict[str, Any]:
        """What is noted of the table, by the registry's columns."""
        keys = self.table.primary_key
        return {
            "kind": self.kind,
            "name": name,
            "source": self.table.oid,
            "source_schema": self.table.schema,
            "source_name": self.table.name,
            "numbers": list(self.numbers),
            "names": [self.table.by_number[n].name for n in self.numbers],
            "keys": list(keys),
            "key_names": [self.table.by_number[n].name for n in keys],
            "moving": list(self.moving),
            "shape": self.shape,
        }

    def _archived(self) -> list[Fragment]:
        """What we note of a row, and the row."""
        return [
            *self._numbers("~op", "~row", "~unit"),
            *(template("{} AS {}").format(self._column(n), into(n)) for n in self.table.primary_key),
            *self._numbers(*(f"~p{n}" for n in self.moving)),
            *(self._column(n) for n in self.numbers),
        ]

    def _journaled(self) -> list[Fragment]:
        """The key that a row has since, and what these columns held before and after."""
        values = [(n, f"{prefix}{n}") for prefix in ("~o", "~n") for n in self.numbers]
        return [
            *self._numbers("~op"),
            *(template("{} AS {}").format(self._column(n), key(n)) for n in self.table.primary_key),
            *(template("{} AS {}").format(self._column(n), ident(name)) for n, name in values),
            *self._numbers(*(f"~p{n}" for n in self.moving)),
        ]

    @staticmethod
    def _numbers(*names: str) -> list[Fragment]:
        return [template("0::bigint AS {}").format(ident(name)) for name in names]

    def _column(self, number: int) -> sql.Identifier:
        return ident(self.table.by_number[number].name)


def registry_of(schema: str) -> Iterator[sql.Composed]:
    """The statements that create the schema and its registry, open to whom the defaults let in."""
    for statement in ("create_schema", *_CREATE, "describe_schema"):
        yield _SQL[statement].format(schema=ident(schema))


def secured(schema: str) -> Iterator[sql.Composed]:
    """The statements that let nobody but the owner see a row of the registry."""
    for name in REGISTRY:
        yield secure(schema, name)


def registering(schema: str) -> sql.Composed:
    """The statement that notes an archive or journal table; takes what :meth:`Layout.registered` gives."""
    return _SQL["add_relation"].format(schema=ident(schema))


def closing_of(schema: str) -> sql.Composed:
    """The statement that takes every right in the schema away from others."""
    return _SQL["close"].format(schema=literal(schema))


def secure(schema: str, name: str) -> sql.Composed:
    """The statement that lets nobody but the owner see a row of one table."""
    return _SQL["secure"].format(table=ident(schema, name))


def into(number: int) -> sql.Identifier:
    """The archive's column for the key of the row that a removed one was merged into."""
    return ident(f"~into{number}")


def key(number: int) -> sql.Identifier:
    """The journal's column for the primary key that a changed row has since."""
    return ident(f"~k{number}")
