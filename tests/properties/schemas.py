"""Random schemas: tables, their rows, and the settings that they are upgraded with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from contacts_schema.settings import Reference
from tests.properties.children import child
from tests.properties.contacts import contacts
from tests.properties.draws import rarely, refer_to_each_other, row
from tests.properties.model import Link, Row, Schema, Table

__all__ = ["filled_row", "schemas"]

ORDERS: Final = (None, None, "name DESC", "mark DESC", "phone, name NULLS FIRST, mark % 2 DESC")


@st.composite
def schemas(draw: DrawFn) -> Schema:
    """1 to 8 tables."""
    tables = [draw(contacts())]
    for number in range(1, draw(st.sampled_from((1, 2, 2, 1, 3, 4, 0, 3, 7, 5, 6))) + 1):
        table = draw(child(f"t{number}", tables))
        tables.append(replace(table, rows=_rows(draw, table, tables)))
    cap = draw(st.sampled_from((None, None, None, 1, 2)))
    return Schema(tables=tuple(tables), settings=_settings(draw, tables), cap=cap)


def _rows(draw: DrawFn, table: Table, earlier: Sequence[Table]) -> tuple[Row, ...]:
    """0 to 15 rows; those that some constraint forbids are left out when they are loaded."""
    count = max(draw(st.integers(0, 15)), draw(st.integers(0, 12)))
    rows = [filled_row(draw, table, earlier, number) for number in range(1, count + 1)]
    return refer_to_each_other(draw, table, [held for held in rows if held])


def filled_row(draw: DrawFn, table: Table, earlier: Sequence[Table], number: int) -> dict[str, str | None]:
    """One row that refers to others; empty where there is nothing that it could refer to."""
    held: dict[str, str | None] = {}
    for link in table.links:
        if link.parent != table.name:
            parent = next(parent for parent in earlier if parent.name == link.parent)
            found = _parent(draw, table, link, held, [*parent.rows, *_ghost(draw, link, parent)])
            if found is None and not all(table.by_name[c].nullable for c in link.columns if c not in held):
                return {}
            held = link.to(found) | held
    given = [column for column in table.columns if not column.generated]
    return dict.fromkeys((column.name for column in given), None) | row(draw, given, number) | held


def _ghost(draw: DrawFn, link: Link, parent: Table) -> list[Row]:
    """Rarely a row that is not there, for those who may refer to it."""
    parts = [parent.by_name[name] for name in link.parent_columns]
    if not (link.not_valid and all(part.key or part.values for part in parts) and rarely(draw, 6)):
        return []
    return [{part.name: part.key(900) if part.key else part.values[0] for part in parts}]


def _parent(draw: DrawFn, table: Table, link: Link, held: Row, rows: Sequence[Row]) -> Row | None:
    """A row of the parent that agrees with what the row holds already."""
    pairs = [(c, p) for c, p in zip(link.columns, link.parent_columns, strict=True) if held.get(c) is not None]
    fitting = [other for other in rows if all(held[c] == other[p] for c, p in pairs)]
    nullable = all(table.by_name[column].nullable for column in link.columns if column not in held)
    if not fitting or (nullable and rarely(draw, 6)):
        return None
    return fitting[draw(st.integers(0, len(fitting) - 1))]


def _settings(draw: DrawFn, tables: Sequence[Table]) -> dict[str, Any]:
    contacts_table, *children = tables
    fillable = [
        c.name for c in contacts_table.columns if c.nullable and c.values and c.name not in ("workspace_id", "phone")
    ]
    blank = any(held["phone"] is not None and not held["phone"].strip() for held in contacts_table.rows)
    merged = () if rarely(draw, 8) else tuple((None, table.name, "merge") for table in children)
    return {
        "collisions": merged,
        "references": tuple(_declared(tables, table, link) for table in tables for link in table.links if link.declared),
        "fill": tuple(draw(st.lists(st.sampled_from(fillable), max_size=2, unique=True))),
        "survivor_order": draw(st.sampled_from(ORDERS)),
        "batch_size": draw(st.sampled_from((None, 1, 2))),
        "blank_phones": "null" if blank else "refuse",
        "lock_attempts": 10,
    }


def _declared(tables: Sequence[Table], table: Table, link: Link) -> Reference:
    first = tables[0]
    if link.parent == first.name and link.parent_columns == first.primary:
        return Reference(table=table.name, column=link.columns[0])
    return Reference(
        table=table.name, column=link.columns[0], target_table=link.parent, target_column=link.parent_columns[0]
    )
