"""Random tables that hang on the contacts, directly or on each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.properties.draws import check, contents, link_to, rarely
from tests.properties.kinds import COUSINS, KEYS
from tests.properties.model import Column, Key, Link, Row, Table

__all__ = ["child"]

V: Final = Column(name="v", type="integer", values=("0", "1", "2"), not_null=True)
NOTE: Final = Column(name="note", type="text", values=("n", "m", "N", None))
UPDATED_AT: Final = Column(name="updated_at", type="timestamptz", values=("2020-01-01 00:00+00",))
PREDICATES: Final[tuple[tuple[str, str, Callable[[Row], bool]], ...]] = (
    ("v > 0", "v", lambda row: row["v"] != "0"),
    ("note = 'n'", "note", lambda row: row["note"] == "n"),
    ("note IS NOT NULL", "note", lambda row: row["note"] is not None),
)
EXPRESSIONS: Final = (("lower(note)", "note"), ("coalesce(note, '')", "note"), ("v % 2", "v"))


@st.composite
def child(draw: DrawFn, name: str, earlier: Sequence[Table]) -> Table:
    """A table without its rows; `earlier` are the tables that it may refer to, the contacts first."""
    columns = [V, NOTE]
    links = _links(draw, name, earlier, columns)
    primary = _primary(draw, columns, links)
    columns += contents(draw, 2)
    columns += _generated(draw, links)
    stamped = rarely(draw, 4)
    columns += [UPDATED_AT] if stamped or rarely(draw, 3) else []
    if primary == ("id",) and rarely(draw, 5):
        (key,) = (column for column in columns if column.name == "id")
        columns.append(Column(name="up", type=_type(draw, key)))
        links.append(link_to(draw, ["up"], name, ["id"], declared=rarely(draw, 8)))
    keys = [Key(columns=primary, form="primary")] if primary else []
    keys += [_key(draw, columns, links) for _ in range(draw(st.sampled_from((0, 1, 1, 2))))]
    partitioned = _partitioned(draw, keys, links)
    if partitioned:  # before 18 no such foreign key can be NOT VALID
        links = [replace(link, not_valid=False) for link in links]
    return Table(
        name=name,
        columns=tuple(columns),
        keys=tuple(keys),
        links=tuple(links),
        stamped=stamped,
        gap=rarely(draw, 4),
        check=check(draw, "v >= 0", "v < 2"),
        partitioned=partitioned,
    )


def _partitioned(draw: DrawFn, keys: Sequence[Key], links: Sequence[Link]) -> str | None:
    """Rarely the column of a reference, so that rows change their partition; every key has to hold it."""
    column = links[0].columns[-1]
    return column if all(column in key.columns for key in keys) and rarely(draw, 2) else None


def _type(draw: DrawFn, parent: Column) -> str:
    """The parent's type, rarely another one that compares with it."""
    return COUSINS.get(parent.type, parent.type) if rarely(draw, 5) else parent.type


def _links(draw: DrawFn, name: str, earlier: Sequence[Table], columns: list[Column]) -> list[Link]:
    """One to three references; adds their columns."""
    contacts, *others = earlier
    others = [table for table in others if table.referenced]
    links: list[Link] = []
    for _ in range(draw(st.sampled_from((1, 1, 1, 1, 2, 2, 3)))):
        parent = draw(st.sampled_from([contacts] * max(1, len(others)) + others))
        key = draw(st.sampled_from(parent.referenced))
        held = _held(draw, parent, key, links, columns)
        own = len(held) == 1 and not any(set(held) & set(link.columns) for link in links)
        links.append(link_to(draw, held, parent.name, key.columns, declared=own and rarely(draw, 8)))
        if "DEFAULT" in links[-1].on_delete and draw(st.booleans()):
            _give_defaults(links[-1], parent, columns)
    return links


def _give_defaults(link: Link, parent: Table, columns: list[Column]) -> None:
    """By default the reference leads to the parent's first row."""
    led = link.to(parent.rows[0]) if parent.rows else {}
    columns[:] = [replace(column, default=led.get(column.name)) if column.name in led else column for column in columns]


def _held(draw: DrawFn, parent: Table, key: Key, links: Sequence[Link], columns: list[Column]) -> list[str]:
    """The columns that hold a reference; workspaces are shared, whole columns rarely."""
    types = [_type(draw, parent.by_name[part]) for part in key.columns]
    known = {column.name: column for column in columns}
    for link in links:
        if rarely(draw, 6) and [known[name].type for name in link.columns] == types:
            return list(link.columns)
    certain = draw(st.booleans())
    held = []
    for part, type_ in zip(key.columns, types, strict=True):
        name = f"{parent.name}_{part}"
        if name in known and not (part == "workspace_id" and len(key.columns) > 1):
            name += str(len(columns))
        if name not in known:
            columns.append(Column(name=name, type=type_, not_null=certain))
        held.append(name)
    return held


def _primary(draw: DrawFn, columns: list[Column], links: Sequence[Link]) -> tuple[str, ...]:
    """A key of its own, or one that holds references and so moves; adds its column."""
    first, *_, last = links[0].columns, links[-1].columns
    shape = draw(st.sampled_from(("id", "id", "id", "id", "id", "reference", "reference and v", "references", "none")))
    if shape == "none":
        return ()
    if shape == "id":
        kind = draw(st.sampled_from(KEYS))
        columns.insert(0, Column(name="id", type=kind.type, key=kind.value, extra=kind.extra))
        return ("id",)
    others = {"reference": (), "reference and v": ("v",), "references": last}[shape]
    return tuple(dict.fromkeys((*first, *others)))


def _generated(draw: DrawFn, links: Sequence[Link]) -> list[Column]:
    if not rarely(draw, 5):
        return []
    expression = draw(st.sampled_from(("lower(note)", "note || v::text", f'"{links[0].columns[-1]}"::text || v::text')))
    return [Column(name="g", type="text", extra=f"GENERATED ALWAYS AS ({expression}) STORED")]


def _key(draw: DrawFn, columns: Sequence[Column], links: Sequence[Link]) -> Key:
    """A unique key that holds a reference, so that rows may collide when it moves."""
    held = draw(st.sampled_from(links)).columns
    beside = draw(st.sampled_from(((), ("v",), ("note",), links[-1].columns)))
    names = tuple(dict.fromkeys((*held, *beside)))
    if any(column.name == "g" for column in columns) and draw(st.booleans()):
        names = (*names[1:], "g")
    form = draw(st.sampled_from(("constraint", "index", "deferrable", "partial", "expression", "reference", "no nulls")))
    equal_nulls = rarely(draw, 3)
    there = (f'"{held[0]}" IS NOT NULL', held[0], lambda row: row[held[0]] is not None)
    predicate, of, covers = draw(st.sampled_from((*PREDICATES, there)))
    partial = Key(columns=names, predicate=predicate, mentions=(of,), covers=covers, nulls_not_distinct=equal_nulls)
    if form == "partial":
        return partial
    if form == "expression":
        expression, mentioned = draw(st.sampled_from(EXPRESSIONS))
        if rarely(draw, 3):
            return replace(partial, expressions=(expression,), mentions=(of, mentioned))
        return Key(columns=names, expressions=(expression,), mentions=(mentioned,), nulls_not_distinct=equal_nulls)
    if form == "reference":
        return Key(columns=names[1:], expressions=(f'"{names[0]}"::text',), mentions=names[:1])
    if form == "deferrable":
        return Key(columns=names, form="constraint", deferrable="DEFERRABLE INITIALLY DEFERRED")
    return Key(columns=names, form="index" if form == "index" else "constraint", nulls_not_distinct=form == "no nulls")
