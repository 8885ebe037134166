"""Reads the catalog around one table: the table, what refers to it at any depth, and what looks as if it did."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

from psycopg import Connection, sql
from psycopg.rows import class_row

from ..compose import oids
from ..query import scalar, scalars
from ..session import own_path, searching
from ..settings import Settings
from ..sql import load
from .facts import (
    Check,
    Column,
    Computed,
    Facts,
    ForeignKey,
    Index,
    NamedColumn,
    Need,
    PrivateSchema,
    Role,
    Table,
    Trigger,
    Unseen,
)

_SQL = load("catalog")
# What is written under it means the same everywhere: nothing but built-in names is left without its schema.
_TYPES_PATH = "pg_catalog"


@dataclass(frozen=True, kw_only=True)
class _Default:
    """What a column is by default, or how it is generated."""

    table: int
    number: int
    expression: str


class _OfTable(Protocol):
    @property
    def table(self) -> int: ...


T = TypeVar("T")
P = TypeVar("P", bound=_OfTable)


def read_facts(connection: Connection[Any], settings: Settings, *, portable: bool = False) -> Facts:
    """Read everything a plan needs, in a handful of catalog queries. Takes no lock that anybody waits for.

    Expressions are read as the session's statements understand them: a name that another schema of the path would take
    is qualified, a built-in one too. ``portable`` ones are for other sessions: all names but built-in ones are qualified.
    """
    path = _TYPES_PATH if portable else own_path(connection)
    with searching(connection, _TYPES_PATH):
        return _facts(connection, settings, path)


def _facts(connection: Connection[Any], settings: Settings, path: str) -> Facts:
    target = find_table(connection, settings.schema, settings.table)
    declared = {
        (schema, table): find_table(connection, schema, table) for schema, table in sorted(_declared_tables(settings))
    }
    reached = reachable(connection, [oid for oid in (target, *declared.values()) if oid is not None])
    return Facts(
        role=_rows(connection, Role, "role")[0],
        target=target,
        tables=_tables(connection, reached, path),
        foreign_keys=read_foreign_keys(connection, reached),
        named_columns=tuple(_rows(connection, NamedColumn, "named_columns", private_schema=settings.private_schema)),
        declared=declared,
        similar=() if target else tuple(_scalars(connection, "similar_tables", private_schema=settings.private_schema)),
        private_schema=_one(_rows(connection, PrivateSchema, "private_schema", schema=settings.private_schema)),
        relation_named_constraint=_relation_named(connection, settings),
    )


def read_foreign_keys(connection: Connection[Any], oids: Sequence[int]) -> tuple[ForeignKey, ...]:
    """The foreign keys that refer to these tables."""
    return tuple(_rows(connection, ForeignKey, "foreign_keys", oids=list(oids)))


def _declared_tables(settings: Settings) -> set[tuple[str, str]]:
    children = {(r.schema or settings.schema, r.table) for r in settings.references}
    parents = {
        (r.target_schema or settings.schema, r.target_table) for r in settings.references if r.target_table is not None
    }
    return children | parents


def find_table(connection: Connection[Any], schema: str, name: str) -> int | None:
    """The oid of a relation of any kind that could be meant, or None."""
    found = _scalars(connection, "find_table", schema=schema, name=name)
    return found[0] if found else None


def existing(connection: Connection[Any], oids: Iterable[int]) -> set[int]:
    """Those of the relations that are still there."""
    return set(_scalars(connection, "existing", oids=list(oids)))


def reachable(connection: Connection[Any], roots: Sequence[int]) -> list[int]:
    """The tables and everything that refers to them, at any depth."""
    return _scalars(connection, "reachable", roots=list(roots))


def fingerprint(connection: Connection[Any], tables: Iterable[int]) -> str:
    """One value that changes when a column, index, trigger or foreign key of these tables does."""
    return str(scalar(connection, fingerprint_query(tables), {}))


def fingerprint_query(tables: Iterable[int]) -> sql.Composed:
    """The query behind it."""
    return _SQL["fingerprint"].format(oids=oids(tables))


def look_alikes_query() -> sql.Composed:
    """The query for columns that may hold keys without a foreign key; takes ``private_schema``."""
    return _SQL["named_columns"].format()


def read_tables(connection: Connection[Any], oids: Sequence[int]) -> Mapping[int, Table]:
    """The tables with their columns, indexes, triggers, checks and own foreign keys, by oid."""
    path = own_path(connection)
    with searching(connection, _TYPES_PATH):
        return _tables(connection, oids, path)


def _tables(connection: Connection[Any], oids: Sequence[int], path: str) -> Mapping[int, Table]:
    """What is compared, types above all, by the path of now; expressions, which are run, by ``path``."""
    with searching(connection, path):
        defaults = {(row.table, row.number): row.expression for row in _rows(connection, _Default, "defaults", oids=oids)}
        indexes = _by_table(_rows(connection, Index, "indexes", oids=oids))
        checks = _by_table(_rows(connection, Check, "checks", oids=oids))
        computed = _by_table(_rows(connection, Computed, "computed", oids=oids))
        tables = _rows(connection, Table, "tables", oids=oids)
    columns = _by_table(
        replace(column, default=defaults.get((column.table, column.number)))
        for column in _rows(connection, Column, "columns", oids=oids)
    )
    triggers = _by_table(_rows(connection, Trigger, "triggers", oids=oids))
    needs = _by_table(_rows(connection, Need, "needs", oids=oids))
    unseen = _by_table(_rows(connection, Unseen, "unseen", oids=oids))
    distributed = _distributed(connection)
    return {
        table.oid: replace(
            table,
            columns=columns[table.oid],
            indexes=indexes[table.oid],
            triggers=triggers[table.oid],
            checks=checks[table.oid],
            computed=computed[table.oid],
            needs=needs[table.oid],
            unseen=unseen[table.oid],
            distributed=table.oid in distributed,
        )
        for table in tables
    }


def _distributed(connection: Connection[Any]) -> set[int]:
    (present,) = _scalars(connection, "has_citus")
    return set(_scalars(connection, "distributed")) if present else set()


def _relation_named(connection: Connection[Any], settings: Settings) -> str | None:
    """What already has the constraint's name in the table's schema, for people."""
    values = {"schema": settings.schema, "table": settings.table, "name": settings.constraint}
    return _one([str(kind) for kind in _scalars(connection, "constraint_named", **values)])


def _rows(connection: Connection[Any], cls: type[T], statement: str, **values: Any) -> list[T]:
    with connection.cursor(row_factory=class_row(_frozen(cls))) as cursor:
        return cursor.execute(_SQL[statement].format(), values).fetchall()


def _scalars(connection: Connection[Any], statement: str, **values: Any) -> list[Any]:
    return scalars(connection, _SQL[statement].format(), values)


def _frozen(cls: type[T]) -> Any:
    """The class as a row maker that turns arrays, which arrive as lists, into tuples."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]  # always a dataclass here

    def make(**row: Any) -> T:
        return cls(**{n: tuple(v) if isinstance(v, list) else v for n, v in row.items() if n in names})

    return make


def _by_table(items: Iterable[P]) -> defaultdict[int, tuple[P, ...]]:
    grouped: defaultdict[int, tuple[P, ...]] = defaultdict(tuple)
    for item in items:
        grouped[item.table] += (item,)
    return grouped


def _one(items: Sequence[T]) -> T | None:
    return items[0] if items else None
