"""Facts of a catalog that was never there, for tests of what is pure. Column n of a table has the number n, from 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from contacts_schema.catalog.facts import (
    Check,
    Column,
    Facts,
    ForeignKey,
    Index,
    NamedColumn,
    PrivateSchema,
    Role,
    Table,
    Trigger,
)

__all__ = ["check", "column", "facts", "foreign_key", "index", "named", "table", "trigger"]

EQUAL = "OPERATOR(pg_catalog.=)"


def column(name: str, type_: str = "bigint", **facts: Any) -> Column:
    """A nullable column; `table` and `number` are given by the table it comes into."""
    category = "S" if type_ in ("text", "character varying") else "N"
    given: dict[str, Any] = {
        "table": 0, "number": 0, "name": name, "type": type_, "base_type": type_, "category": category,
        "not_null": False, "generated": "", "identity": "", "default": None, "collation": 0, "equality": EQUAL,
    }  # fmt: skip
    return Column(**(given | facts))


def index(name: str, *columns: int, **facts: Any) -> Index:
    """A valid unique B-tree over plain columns."""
    given: dict[str, Any] = {
        "table": 0, "name": name, "method": "btree", "columns": columns, "included": (), "mentions": (),
        "keys": tuple(f"c{number}" for number in columns), "equality": (EQUAL,) * len(columns), "plain": True,
        "predicate": None, "unique": True, "primary": False, "exclusion": False, "valid": True, "ready": True,
        "nulls_not_distinct": False, "constraint": None, "deferrable": False,
    }  # fmt: skip
    return Index(**(given | facts))


def table(
    oid: int, name: str, *columns: str | Column, key: Sequence[int] = (1,), indexes: Iterable[Index] = (), **facts: Any
) -> Table:
    """An ordinary table of `public` with every right on it; `key` is its primary key, none if empty."""
    given: dict[str, Any] = {
        "oid": oid, "schema": "public", "name": name, "kind": "r", "is_partition": False,
        "has_heirs": False, "rows": 0.0, "pages": 0, "row_security_active": False, "rules": (), "published": (),
        "replica_identity": "d", "owner": "owner", "owned": True, "can_select": True, "can_insert": True,
        "can_update": True, "can_delete": True, "schema_usage": True, "schema_create": True,
    }  # fmt: skip
    primary = [index(f"{name}_pkey", *key, primary=True)] if key else []
    return Table(**(given | {"columns": _numbered(columns), "indexes": (*primary, *indexes)} | facts))


def _numbered(columns: Iterable[str | Column]) -> tuple[Column, ...]:
    made = [column(c) if isinstance(c, str) else c for c in columns]
    return tuple(Column(**(c.__dict__ | {"number": number})) for number, c in enumerate(made, 1))


def foreign_key(
    child: Table, columns: Sequence[int], parent: Table, parent_columns: Sequence[int] = (1,), **facts: Any
) -> ForeignKey:
    """A foreign key that is checked."""
    given: dict[str, Any] = {
        "name": f"{child.name}_fkey", "table": child.oid, "columns": tuple(columns), "parent": parent.oid,
        "parent_columns": tuple(parent_columns), "equality": (EQUAL,) * len(columns), "on_update": "a",
        "triggers_enabled": True, "inherited": False,
    }  # fmt: skip
    return ForeignKey(**(given | facts))


def trigger(name: str, **facts: Any) -> Trigger:
    """An enabled row trigger before UPDATE and DELETE."""
    given: dict[str, Any] = {
        "table": 0, "name": name, "function": name, "function_schema": "public", "enabled": "O", "before": True,
        "row": True, "on_update": True, "on_delete": True,
    }  # fmt: skip
    return Trigger(**(given | facts))


def check(name: str, *columns: int) -> Check:
    """A CHECK that reads these columns."""
    return Check(table=0, name=name, expression="true", columns=columns, certain=True)


def named(of: Table, name: str, **facts: Any) -> NamedColumn:
    """The column `name` of a table as one that is named like a reference."""
    given: dict[str, Any] = {
        "table": of.oid, "schema": of.schema, "name": of.name, "column": name, "type": of.by_name[name].type,
        "type_column": None, "parents": (), "readable": True,
    }  # fmt: skip
    return NamedColumn(**(given | facts))


def facts(*tables: Table, **given: Any) -> Facts:
    """Facts whose target is the first table."""
    role = Role(name="deployer", database="crm", can_create_schema=True, can_create_temp=True)
    known: dict[str, Any] = {
        "role": role, "target": tables[0].oid if tables else None, "tables": {t.oid: t for t in tables},
        "foreign_keys": (), "named_columns": (), "similar": (), "private_schema": PrivateSchema(owned=True, ours=True),
        "declared": {(t.schema, t.name): t.oid for t in tables}, "relation_named_constraint": None,
    }  # fmt: skip
    return Facts(**(known | given))
