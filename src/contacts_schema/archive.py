"""The private schema: rows that were removed, whole, and a journal of what was changed in rows that stayed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from .archive_layout import Layout, closing_of, registry_of, secure
from .catalog.facts import Table
from .compose import ident, plain
from .query import scalar, scalars
from .settings import Settings
from .sql import load

_SQL = load("archive")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One archive or journal table: the source's columns that it holds, and which of them we set ourselves."""

    id: int
    name: str
    numbers: tuple[int, ...]
    moving: tuple[int, ...]


class Archive:
    """The private schema of one database."""

    def __init__(self, connection: Connection[Any], schema: str) -> None:
        self.connection, self.schema = connection, schema

    def table(self, name: str) -> sql.Identifier:
        return ident(self.schema, name)

    def exists(self) -> bool:
        return bool(self._scalar("exists", op=plain(self.table("op"), self.connection)))

    def elsewhere(self, table: Table) -> str | None:
        """Another schema that holds an archive of this table, if there is one that we can see."""
        for schema in scalars(self.connection, _SQL["archives"].format(), {"schema": self.schema}):
            if scalar(self.connection, _SQL["has_runs"].format(schema=ident(schema)), {"source": table.oid}):
                return str(schema)
        return None

    def sources(self) -> set[tuple[int, str, str]]:
        """The tables that runs are noted of: oid, schema, name. None where there is no archive, or nothing was merged."""
        if not self.exists():
            return set()
        return set(self.connection.execute(_SQL["sources"].format(schema=ident(self.schema)), {}).fetchall())

    def ensure(self) -> None:
        """Create the schema and its registry where they are missing, closed to everybody but their owner."""
        with self.connection.transaction():
            if not self.exists():
                for statement in registry_of(self.schema):
                    self._run(statement)
            # Asked first: a table that is secure already may be in the hands of somebody who reads it.
            for name in self._insecure():
                self._run(secure(self.schema, name))
            self.close()

    def _insecure(self) -> list[str]:
        return scalars(self.connection, _SQL["insecure"].format(), {"schema": self.schema})

    def close(self) -> None:
        """Take away whatever PUBLIC or any role was granted in the schema, by default privileges too."""
        self._run(closing_of(self.schema))

    def archive_of(self, table: Table, moving: Sequence[int]) -> Relation:
        """The archive for rows of this table as it is shaped now, made if need be.

        For each column of ``moving`` it remembers which archived row the reference led to.
        """
        numbers = tuple(c.number for c in table.stored)
        return self._relation(Layout(kind="archive", table=table, numbers=numbers, moving=tuple(moving)))

    def journal_of(self, table: Table, numbers: Sequence[int], moving: Sequence[int]) -> Relation:
        """The journal for changes to these columns; a table without a primary key is journaled whole."""
        return self._relation(Layout(kind="journal", table=table, numbers=tuple(numbers), moving=tuple(moving)))

    def _relation(self, layout: Layout) -> Relation:
        added, name = self._found(layout) or self._create(layout)
        return Relation(id=added, name=name, numbers=layout.numbers, moving=layout.moving)

    def _found(self, layout: Layout) -> tuple[int, str] | None:
        """The number and name of the table that is there already."""
        values = {"kind": layout.kind, "source": layout.table.oid, "shape": layout.shape}
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(_SQL["find_relation"].format(schema=ident(self.schema)), values).fetchone()

    def _create(self, layout: Layout) -> tuple[int, str]:
        with self.connection.transaction():
            name = layout.name(self._next_number())
            for statement in layout.creating(self.schema, name):
                self._run(statement)
            self.close()
            return self._register(layout.registered(name)), name

    def _next_number(self) -> int:
        return int(self._scalar("next_relation"))

    def _register(self, noted: Mapping[str, Any]) -> int:
        return int(self._scalar("add_relation", **noted))

    def begin_run(self, table: Table, settings: Settings) -> int:
        """Note that a run begins; nothing is ever read back from it but its time and the settings it had."""
        return int(self._scalar("add_run", **run_of(table, settings)))

    def begin_batch(self, run: int, ops: Sequence[tuple[str, Sequence[int]]]) -> list[int]:
        """Note a batch and what it is about to do, in order; gives the ids of the operations."""
        kinds = [kind for kind, _ in ops]
        relations = [",".join(map(str, relations)) for _, relations in ops]
        return scalars(self.connection, self._add_batch, {"run": run, "kinds": kinds, "relations": relations})

    @cached_property
    def _add_batch(self) -> bytes:
        return _SQL["add_batch"].format(schema=ident(self.schema)).as_bytes(self.connection)

    def _run(self, statement: sql.Composed) -> None:
        self.connection.execute(statement, {})

    def _scalar(self, statement: str, **values: Any) -> Any:
        return scalar(self.connection, _SQL[statement].format(schema=ident(self.schema)), values)


def run_of(table: Table, settings: Settings) -> dict[str, Any]:
    """What is noted of a run, by the registry's columns."""
    said = json.dumps(asdict(settings), default=str)
    return {"source": table.oid, "source_schema": table.schema, "source_name": table.name, "settings": said}
