"""The private schema: rows that were removed, whole, and a journal of what was changed in rows that stayed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row, scalar_row

from .catalog.facts import Table
from .compose import Fragment, comma, ident, literal, plain, template
from .settings import Settings
from .sql import load

_SQL = load("archive")
REGISTRY = ("run", "batch", "relation", "op")
_CREATE = ("create_run", "create_batch", "create_relation", "create_op", "index_op")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One archive or journal table: the source's columns that it holds, and which of them we set ourselves."""

    id: int
    kind: str
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
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            for schema in cursor.execute(_SQL["archives"].format(), {"schema": self.schema}).fetchall():
                runs = _SQL["has_runs"].format(schema=ident(schema))
                if cursor.execute(runs, {"source": table.oid}).fetchone():
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
                self._run(_secure(self.schema, name))
            self.close()

    def _insecure(self) -> list[str]:
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(_SQL["insecure"].format(), {"schema": self.schema}).fetchall()

    def close(self) -> None:
        """Take away whatever PUBLIC or any role was granted in the schema, by default privileges too."""
        self._run(closing_of(self.schema))

    def archive_of(self, table: Table, moving: Sequence[int]) -> Relation:
        """The archive for rows of this table as it is shaped now, made if need be.

        For each column of ``moving`` it remembers which archived row the reference led to.
        """
        numbers = tuple(c.number for c in table.stored)
        columns = [
            *self._own("~op", "~row", "~unit"),
            *(template("{} AS {}").format(ident(table.by_number[n].name), into(n)) for n in table.primary_key),
            *(template("0::bigint AS {}").format(ident(f"~p{n}")) for n in moving),
            *(ident(c.name) for c in table.stored),
        ]
        return self._relation("archive", table, numbers, tuple(moving), columns)

    def journal_of(self, table: Table, numbers: Sequence[int], moving: Sequence[int]) -> Relation:
        """The journal for changes to these columns; a table without a primary key is journaled whole."""
        columns = [
            *self._own("~op"),
            *(template("{} AS {}").format(ident(table.by_number[n].name), key(n)) for n in table.primary_key),
            *(
                template("{} AS {}").format(ident(table.by_number[n].name), ident(f"{prefix}{n}"))
                for prefix in ("~o", "~n")
                for n in numbers
            ),
            *(template("0::bigint AS {}").format(ident(f"~p{n}")) for n in moving),
        ]
        return self._relation("journal", table, tuple(numbers), tuple(moving), columns)

    @staticmethod
    def _own(*names: str) -> list[Fragment]:
        return [template("0::bigint AS {}").format(ident(name)) for name in names]

    def _relation(
        self, kind: str, table: Table, numbers: tuple[int, ...], moving: tuple[int, ...], columns: list[Fragment]
    ) -> Relation:
        shape = _shape(table, numbers, moving)
        found = self._found(kind, table, shape)
        if found:
            return Relation(id=found["id"], kind=kind, name=found["name"], numbers=numbers, moving=moving)
        with self.connection.transaction():
            return self._create(kind, table, numbers, moving, columns, shape)

    def _found(self, kind: str, table: Table, shape: str) -> dict[str, Any] | None:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                _SQL["find_relation"].format(schema=ident(self.schema)),
                {"kind": kind, "source": table.oid, "shape": shape},
            ).fetchone()

    def _create(
        self,
        kind: str,
        table: Table,
        numbers: tuple[int, ...],
        moving: tuple[int, ...],
        columns: list[Fragment],
        shape: str,
    ) -> Relation:
        name = relation_name(kind, self._next_number(), table)
        for statement in self._creating(name, kind, table, columns):
            self._run(statement)
        self.close()
        added = self._register(registered(name, kind, table, numbers, moving, shape))
        return Relation(id=added, kind=kind, name=name, numbers=numbers, moving=moving)

    def _next_number(self) -> int:
        return int(self._scalar("next_relation"))

    def _register(self, noted: Mapping[str, Any]) -> int:
        return int(self._scalar("add_relation", **noted))

    def _creating(self, name: str, kind: str, table: Table, columns: list[Fragment]) -> Iterator[sql.Composed]:
        """The statements that create an archive or journal table, not yet closed to others."""
        relation, source = self.table(name), ident(table.schema, table.name)
        yield _SQL["create_table"].format(table=relation, columns=comma(columns), source=source)
        yield _SQL["add_identity"].format(table=relation)
        if kind == "archive":
            keys = comma(ident(table.by_number[n].name) for n in table.primary_key)
            yield _SQL["index_table"].format(table=relation, columns=keys)
        yield _secure(self.schema, name)

    def begin_run(self, table: Table, settings: Settings) -> int:
        """Note that a run begins; nothing is ever read back from it but its time and the settings it had."""
        return int(self._scalar("add_run", **run_of(table, settings)))

    def begin_batch(self, run: int, ops: Sequence[tuple[str, Sequence[int]]]) -> list[int]:
        """Note a batch and what it is about to do, in order; gives the ids of the operations."""
        kinds = [kind for kind, _ in ops]
        relations = [",".join(map(str, relations)) for _, relations in ops]
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(self._add_batch, {"run": run, "kinds": kinds, "relations": relations}).fetchall()

    @cached_property
    def _add_batch(self) -> bytes:
        return _SQL["add_batch"].format(schema=ident(self.schema)).as_bytes(self.connection)

    def _run(self, statement: sql.Composed) -> None:
        self.connection.execute(statement, {})

    def _scalar(self, statement: str, **values: Any) -> Any:
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(_SQL[statement].format(schema=ident(self.schema)), values).fetchone()


def registry_of(schema: str) -> Iterator[sql.Composed]:
    """The statements that create the schema and its registry, open to whom the defaults let in."""
    for statement in ("create_schema", *_CREATE, "describe_schema"):
        yield _SQL[statement].format(schema=ident(schema))


def secured(schema: str) -> Iterator[sql.Composed]:
    """The statements that let nobody but the owner see a row of the registry."""
    for name in REGISTRY:
        yield _secure(schema, name)


def registering(schema: str) -> sql.Composed:
    """The statement that notes an archive or journal table; takes what :func:`registered` gives."""
    return _SQL["add_relation"].format(schema=ident(schema))


def closing_of(schema: str) -> sql.Composed:
    """The statement that takes every right in the schema away from others."""
    return _SQL["close"].format(schema=literal(schema))


def _secure(schema: str, name: str) -> sql.Composed:
    return _SQL["secure"].format(table=ident(schema, name))


def run_of(table: Table, settings: Settings) -> dict[str, Any]:
    """What is noted of a run, by the registry's columns."""
    said = json.dumps(asdict(settings), default=str)
    return {"source": table.oid, "source_schema": table.schema, "source_name": table.name, "settings": said}


def relation_name(kind: str, number: int, table: Table) -> str:
    """A name that no other archive or journal table has, within the 63 bytes that the server takes."""
    return f"{kind}_{number}_{table.name}".encode()[:60].decode(errors="ignore")


def registered(
    name: str, kind: str, table: Table, numbers: Sequence[int], moving: Sequence[int], shape: str
) -> dict[str, Any]:
    """What is noted of an archive or journal table, by the registry's columns."""
    return {
        "kind": kind,
        "name": name,
        "source": table.oid,
        "source_schema": table.schema,
        "source_name": table.name,
        "numbers": list(numbers),
        "names": [table.by_number[n].name for n in numbers],
        "keys": list(table.primary_key),
        "key_names": [table.by_number[n].name for n in table.primary_key],
        "moving": list(moving),
        "shape": shape,
    }


def into(number: int) -> sql.Identifier:
    """The archive's column for the key of the row that a removed one was merged into."""
    return ident(f"~into{number}")


def key(number: int) -> sql.Identifier:
    """The journal's column for the primary key that a changed row has since."""
    return ident(f"~k{number}")


def _shape(table: Table, numbers: Sequence[int], moving: Sequence[int]) -> str:
    """A value for what must be unchanged for a new row to fit an older archive or journal table. Short, to be indexed."""
    columns = [(n, table.by_number[n].type, table.by_number[n].collation, table.by_number[n].name) for n in numbers]
    keys = [(n, table.by_number[n].type) for n in table.primary_key]
    return sha256(json.dumps([columns, keys, list(moving)]).encode()).hexdigest()
