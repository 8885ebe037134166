"""Columns that look like references and have no foreign key: deleting a duplicate would leave them dangling. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .catalog.facts import Column, Facts, NamedColumn, Table
from .errors import Reason
from .merge.tree import Node, Tree
from .references import sole_key
from .settings import Settings
from .settings_parsing import dotted

_WHOLE = frozenset({"smallint", "integer", "bigint"})
_IRREGULAR = {"people": "person", "children": "child", "men": "man"}
_TEXTUAL = frozenset({"text", "character varying", "character"})


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A column that may hold keys of ``parent`` without a foreign key; polymorphic where it has a type column."""

    column: NamedColumn
    parent: int
    polymorphic: bool


def find_suspects(facts: Facts, settings: Settings, tree: Tree) -> Iterator[Suspect]:
    """Look-alikes of references to tables whose rows can be merged, but for those declared or ignored."""
    known = {(r.schema or settings.schema, r.table, r.column) for r in settings.references}
    known |= {(schema or settings.schema, table, column) for schema, table, column in settings.ignore_references}
    free = [c for c in facts.named_columns if not c.parents and (c.schema, c.name, c.column) not in known]
    for node in tree.nodes:
        key = sole_key(node.table)
        if node.merges and key is not None:
            yield from _of_node(node, key, free)


def _of_node(node: Node, key: Column, columns: list[NamedColumn]) -> Iterator[Suspect]:
    for column in columns:
        itself = column.table == node.table.oid and column.column == key.name
        if itself or not _fits(column, key.base_type):
            continue
        named = _names(column.column, node.table.name)
        if named or column.type_column is not None:
            yield Suspect(column=column, parent=node.table.oid, polymorphic=not named)


def _fits(column: NamedColumn, key_type: str) -> bool:
    """Whether the column could hold the key. A polymorphic one holds keys of several types, as text."""
    held = column.type.removesuffix("[]")
    whole = held in _WHOLE and key_type in _WHOLE
    return held == key_type or whole or (column.type_column is not None and held in _TEXTUAL)


def _names(column: str, table: str) -> bool:
    """``primary_contact_id``, ``contactId``, ``contact_uuid`` name the table ``contacts`` or ``contact``."""
    stem = re.sub(r"(ids?|uuids?)$", "", column.replace("_", "").lower())
    return any(stem.endswith(name) for name in singular(table))


def singular(table: str) -> set[str]:
    """The forms of a table's name by which a column may call one of its rows."""
    name = table.replace("_", "").lower()
    forms = {name, *(name[: -len(many)] + one for many, one in _IRREGULAR.items() if name.endswith(many))}
    if name.endswith("ies"):
        forms.add(name[:-3] + "y")
    if name.endswith("es"):
        forms.add(name[:-2])
    if name.endswith("s"):
        forms.add(name[:-1])
    return forms


def reason_for(suspect: Suspect, tables: Mapping[int, Table], target: Table) -> Reason:
    """Why a suspect refuses the run, and the setting that clears it, ready to be copied."""
    column, parent = suspect.column, tables[suspect.parent]
    where = dotted(column.schema, column.name, column.column)
    return Reason(
        problem=f'"{column.schema}.{column.name}.{column.column}" looks like a reference to "{parent.label}" and has no '
        "foreign key: deleting a duplicate would leave it dangling",
        way_on=_unmovable(where) if column.type.endswith("[]") else _declaration(suspect, where, parent, target),
        code="suspect",
    )


def unreadable(suspect: Suspect, tables: Mapping[int, Table], target: Table, role: str) -> Reason:
    """Why a polymorphic suspect refuses the run where its table hides from the role which rows it refers to."""
    column, parent = suspect.column, tables[suspect.parent]
    where = dotted(column.schema, column.name, column.column)
    grants = (
        f'GRANT USAGE ON SCHEMA "{column.schema}" TO "{role}"; GRANT SELECT ON "{column.schema}"."{column.name}" TO "{role}"'
    )
    seen = "run as a role with BYPASSRLS" if column.readable else grants
    return Reason(
        problem=f'"{column.schema}.{column.name}.{column.column}" may be a reference to "{parent.label}", and role '
        f'"{role}" cannot read "{column.schema}.{column.name}" to tell: deleting a duplicate would leave it dangling',
        way_on=f"{seen}, or {_declaration(suspect, where, parent, target)}",
        code="suspect",
    )


def _unmovable(where: str) -> str:
    return f"an array cannot be moved: set ignore_references = {where}, and correct it by hand afterwards"


def _declaration(suspect: Suspect, where: str, parent: Table, target: Table) -> str:
    leads = "" if parent.oid == target.oid else f" -> {dotted(parent.schema, parent.name)}"
    type_column = suspect.column.type_column
    condition = f" where {_sql_name(type_column)} = '...'" if suspect.polymorphic and type_column else ""
    return f"set references = {where}{leads}{condition}, or, if it is none, ignore_references = {where}"


def _sql_name(name: str) -> str:
    """A condition is SQL, which folds bare names to lower case; in the paths before it names are as written."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
