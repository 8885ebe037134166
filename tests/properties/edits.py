"""What people do between an upgrade and its downgrade. Edits are drawn blind and find their rows when they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from hypothesis import strategies as st

from tests.properties import work
from tests.properties.merged import Merged
from tests.properties.model import MARK, Column, Link, Row, Table
from tests.properties.script import insert, literal, named

__all__ = ["Edit", "edits", "make"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """`at` and `to` choose among the rows that suit its kind."""

    kind: str
    at: int
    to: int


Statements: TypeAlias = Callable[[Merged, Edit, int], str | None]


def edits() -> st.SearchStrategy[list[Edit]]:
    places = st.integers(0, 40)
    edit = st.builds(Edit, kind=st.sampled_from(list(_KINDS)), at=places, to=places)
    return st.lists(edit, min_size=1, max_size=6, unique_by=lambda edit: edit.kind)


def make(url: str, merged: Merged, wanted: Sequence[Edit]) -> Iterator[str]:
    """Make them, each in a transaction of its own; gives the kinds of those that took effect.

    Where one finds no row, or a constraint forbids it, the next kind takes its place.
    """
    kinds = list(_KINDS)
    for number, edit in enumerate(wanted, 1001):
        first = kinds.index(edit.kind)
        for kind in (*kinds[first:], *kinds[:first]):
            statement = _KINDS[kind](merged, edit, number)
            if statement and work.try_out(url, statement):
                yield kind
                break


def _pick(choices: Sequence[T], number: int) -> T | None:
    return choices[number % len(choices)] if choices else None


def _moved(merged: Merged) -> list[tuple[Table, str, Link]]:
    """Rows that are there and whose reference the merge has changed."""
    return [
        (table, mark, link)
        for table in merged.schema.tables
        for mark, row in merged.after.rows[table.name].items()
        if table.primary
        for link in table.links
        if any(row[column] != merged.before.rows[table.name][mark][column] for column in link.columns)
    ]


def _survivors(merged: Merged) -> list[str]:
    """Contacts that others went into."""
    return sorted({str(merged.final("contacts", mark)) for mark in merged.after.archive["contacts"]}, key=int)


def _insert_child(merged: Merged, edit: Edit, number: int) -> str | None:
    """A row like another one, which refers to rows that are there."""
    table = _pick([table for table in merged.schema.tables[1:] if table.primary and table.rows], edit.at)
    if table is None:
        return None
    like = table.rows[edit.at % len(table.rows)]
    row = {**like, **{column.name: column.key(number) for column in table.columns if column.key}}
    for link in table.links:
        parent = _pick(list(merged.after.rows[link.parent].values()), edit.to)
        row |= link.to(parent)
    return insert(table, row)


def _move_reference(merged: Merged, edit: Edit, number: int) -> str | None:
    found = _pick(_moved(merged), edit.at)
    if found is None:
        return None
    table, mark, link = found
    parent = _pick(list(merged.after.rows[link.parent].values()), edit.to)
    return _update(table, mark, link.to(parent))


def _change_survivor(merged: Merged, edit: Edit, number: int) -> str | None:
    mark = _pick(_survivors(merged), edit.at)
    return mark and _update(merged.schema.contacts, mark, {"name": f"edited {number}"})


def _change_child(merged: Merged, edit: Edit, number: int) -> str | None:
    found = _pick(_moved(merged), edit.at)
    column = "name" if found and found[0] is merged.schema.contacts else "note"
    return _update(found[0], found[1], {column: f"edited {number}"}) if found else None


def _delete_moved(merged: Merged, edit: Edit, number: int) -> str | None:
    found = _pick(_moved(merged), edit.at)
    return _delete(found[0], found[1]) if found else None


def _delete_survivor(merged: Merged, edit: Edit, number: int) -> str | None:
    mark = _pick(_survivors(merged), edit.at)
    return mark and _delete(merged.schema.contacts, mark)


def _insert_stranger(merged: Merged, edit: Edit, number: int) -> str | None:
    """Somebody new, under the primary key of a contact that was merged."""
    contacts = merged.schema.contacts
    archived = _pick(list(merged.after.archive["contacts"].values()), edit.at)
    if archived is None:
        return None
    kept = {*contacts.primary, *(column.name for column in contacts.columns if column.not_null)}
    row = {column.name: _stranger(column, archived.row, kept, number) for column in contacts.columns}
    return insert(contacts, row)


def _stranger(column: Column, archived: Row, kept: set[str], number: int) -> str | None:
    if column.name == "phone":
        return str(number)
    return archived[column.name] if column.name in kept or column.name == "workspace_id" else None


def _update(table: Table, mark: str, values: Row) -> str:
    assigned = ", ".join(f"{named(column)} = {literal(value)}" for column, value in values.items())
    return f"UPDATE {table.name} SET {assigned} WHERE {MARK} = {mark}"


def _delete(table: Table, mark: str) -> str:
    return f"DELETE FROM {table.name} WHERE {MARK} = {mark}"


_KINDS: Final[Mapping[str, Statements]] = {
    "change a survivor": _change_survivor,
    "delete a survivor": _delete_survivor,
    "delete a moved row": _delete_moved,
    "change a moved row": _change_child,
    "move a reference": _move_reference,
    "insert a stranger": _insert_stranger,
    "insert a child": _insert_child,
}
