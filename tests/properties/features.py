"""What an example is made of, in words, to count how often each thing was tried."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.properties.model import Key, Link, Schema, Table

__all__ = ["features"]


def features(schema: Schema) -> Iterator[str]:
    yield f"tables: {len(schema.tables)}"
    yield f"contacts' primary key: {_primary(schema.contacts)}"
    yield from (f"setting: {name}" for name in ("fill", "survivor_order", "batch_size") if schema.settings[name])
    yield from ["setting: blank_phones = null"] if schema.settings["blank_phones"] == "null" else []
    yield from ["setting: collisions"] if any(schema.settings["collisions"]) else []
    yield from ["groups larger than a batch"] if schema.cap else []
    yield f"chain: {max(_depth(schema, table) for table in schema.tables)} deep"
    for table in schema.tables:
        yield from _table(schema, table)


def _table(schema: Schema, table: Table) -> Iterator[str]:
    yield from (f"column: {_bare(column.type)}" for column in table.columns if column.name.startswith("x"))
    yield from ["column: generated, stored"] if any(column.generated for column in table.columns) else []
    yield from ["column: dropped before"] if table.gap else []
    yield from ["trigger that sets updated_at"] if table.stamped else []
    yield from ["partitioned by a reference"] if table.partitioned else []
    yield from [f"check: {'NOT VALID' if table.check.not_valid else 'valid'}"] if table.check else []
    for key in table.keys:
        yield from _key(table, key)
    for link in table.links:
        yield from _link(schema, table, link)
    if not table.primary:
        yield "key: none at all"


def _key(table: Table, key: Key) -> Iterator[str]:
    holds = " that holds a reference" if key in table.colliding else ""
    yield f"key: {'primary' if key.form == 'primary' else 'unique'}{holds}"
    yield from ["key: of several columns"] if len(key.columns) + len(key.expressions) > 1 else []
    yield from ["key: partial"] if key.predicate else []
    yield from ["key: partial, with an expression or NULLS NOT DISTINCT"] if _partial_and_more(key) else []
    yield from ["key: with an expression"] if key.expressions else []
    yield from ["key: deferrable"] if key.deferrable else []
    yield from ["key: NULLS NOT DISTINCT"] if key.nulls_not_distinct else []


def _partial_and_more(key: Key) -> bool:
    return bool(key.predicate and (key.expressions or key.nulls_not_distinct))


def _link(schema: Schema, table: Table, link: Link) -> Iterator[str]:
    if link.declared:
        yield "reference: declared only"
        return
    yield f"reference: ON DELETE {link.on_delete.split(' (')[0]}"
    yield f"reference: ON UPDATE {link.on_update}"
    yield from [f"reference: {link.deferrable.lower()}"] if link.deferrable else []
    yield from ["reference: NOT VALID"] if link.not_valid else []
    yield from ["reference: of another type"] if _differs(schema, table, link) else []
    yield from ["reference: with a default"] if any(table.by_name[column].default for column in link.columns) else []
    yield from ["reference: composite"] if len(link.columns) > 1 else []
    yield from ["reference: MATCH FULL"] if link.match else []
    yield from ["reference: to its own table"] if link.parent == table.name else []
    yield f"reference: {'nullable' if all(table.by_name[c].nullable for c in link.columns) else 'NOT NULL'}"
    yield from ["reference: to a second key"] if link.parent_columns != schema.by_name[link.parent].primary else []
    if set(link.parent_columns) & schema.by_name[link.parent].linked:
        yield "reference: to a key that itself moves"
    if sum(bool(set(link.columns) & set(other.columns)) for other in table.links) > 1:
        yield "reference: shares columns with another"


def _differs(schema: Schema, table: Table, link: Link) -> bool:
    parent = schema.by_name[link.parent]
    pairs = zip(link.columns, link.parent_columns, strict=True)
    return any(table.by_name[column].type != parent.by_name[part].type for column, part in pairs)


def _primary(table: Table) -> str:
    columns = [table.by_name[name] for name in table.primary]
    return " and ".join("identity" if column.extra else column.type for column in columns)


def _depth(schema: Schema, table: Table) -> int:
    """How many references lead from the table to the contacts, at most."""
    parents = {link.parent for link in table.links} - {table.name}
    return max((1 + _depth(schema, schema.by_name[parent]) for parent in parents), default=0)


def _bare(type_: str) -> str:
    """Without lengths."""
    return re.sub(r"\(.*\)", "", type_)
