"""What the strategies of all tables share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.properties.kinds import CONTENT
from tests.properties.model import Check, Column, Link, Row, Table

__all__ = ["check", "contents", "link_to", "rarely", "refer_to_each_other", "row"]

ACTIONS: Final = ("NO ACTION", "CASCADE", "SET NULL", "RESTRICT", "SET DEFAULT")
# Keys of contacts never change; where a child's own key moves, ON UPDATE decides for those who hold it.
UPDATES: Final = ("NO ACTION", "NO ACTION", "CASCADE", "SET NULL", "RESTRICT", "SET DEFAULT")
DEFERRABLE: Final = ("", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED")


def rarely(draw: DrawFn, one_in: int) -> bool:
    """True once in so many draws; shrinks to False."""
    return draw(st.integers(0, one_in - 1)) == one_in - 1


def contents(draw: DrawFn, most: int) -> list[Column]:
    """Columns of any type that say something."""
    kinds = draw(st.lists(st.sampled_from(CONTENT), max_size=most))
    return [Column(name=f"x{number}", type=kind.type, values=(None, *kind.values)) for number, kind in enumerate(kinds, 1)]


def check(draw: DrawFn, kept: str, broken: str) -> Check | None:
    """Rarely one, that all rows keep or some of before may break."""
    if not rarely(draw, 8):
        return None
    return draw(st.sampled_from((Check(expression=kept, not_valid=False), Check(expression=broken, not_valid=True))))


def link_to(draw: DrawFn, columns: Sequence[str], parent: str, parent_columns: Sequence[str], *, declared: bool) -> Link:
    on_delete = draw(st.sampled_from(ACTIONS))
    if on_delete.startswith("SET") and len(columns) > 1 and draw(st.booleans()):
        on_delete += f' ("{columns[-1]}")'
    return Link(
        columns=tuple(columns),
        parent=parent,
        parent_columns=tuple(parent_columns),
        on_delete=on_delete,
        on_update=draw(st.sampled_from(UPDATES)),
        deferrable=draw(st.sampled_from(DEFERRABLE)),
        match=" MATCH FULL" if len(columns) > 1 and rarely(draw, 3) else "",
        declared=declared,
        not_valid=not declared and rarely(draw, 8),
    )


def row(draw: DrawFn, columns: Sequence[Column], number: int) -> dict[str, str | None]:
    """The nth row, with what needs no look at other rows."""
    drawn = {c.name: draw(st.sampled_from(c.values)) for c in columns if c.values}
    return drawn | {c.name: c.key(number) for c in columns if c.key}


def refer_to_each_other(draw: DrawFn, table: Table, rows: Sequence[dict[str, str | None]]) -> tuple[Row, ...]:
    """The rows, with the table's references to itself drawn; a column shared with other keys has its value already."""
    for link in table.links:
        *shared, own = zip(link.columns, link.parent_columns, strict=True)
        if link.parent == table.name:
            for held in rows:
                at = draw(st.none() | st.integers(0, len(rows) - 1))
                if at is not None and all(held[child] == rows[at][parent] for child, parent in shared):
                    held[own[0]] = rows[at][own[1]]
    return tuple(rows)
