"""Random contacts tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.properties.draws import check, contents, link_to, rarely, refer_to_each_other, row
from tests.properties.kinds import KEYS, PHONES, WORKSPACES
from tests.properties.model import Column, Key, Link, Table

__all__ = ["contacts"]

NAME: Final = "contacts"
EMAIL: Final = Column(name="email", type="text", values=(None, "a@x", "A@x", "b@x", "c@x", "d@x"))
EMAIL_KEYS: Final = (
    Key(columns=("email",), form="constraint"),
    Key(columns=("workspace_id", "email"), form="constraint", deferrable="DEFERRABLE INITIALLY DEFERRED"),
    Key(columns=("email",), predicate="email IS NOT NULL", mentions=("email",)),
    Key(columns=("workspace_id",), expressions=("lower(email)",), mentions=("email",)),
)


@st.composite
def contacts(draw: DrawFn) -> Table:
    """2 to 12 rows, most of them duplicates of each other."""
    primary, columns = _primary(draw)
    columns = [*columns, *_dedupe_key(draw, primary)]
    columns.append(Column(name="name", type="text", values=("Ann", None, "ann")))
    keys = [Key(columns=primary, form="primary"), *_second_keys(draw, columns, primary)]
    columns += contents(draw, 3)
    links = _own_links(draw, keys, columns)
    table = Table(
        name=NAME,
        columns=tuple(columns),
        keys=tuple(keys),
        links=tuple(links),
        gap=rarely(draw, 4),
        check=check(draw, "name <> 'nobody'", "name <> 'ann'"),
    )
    count = max(draw(st.integers(2, 12)), draw(st.integers(2, 9)))
    rows = [dict.fromkeys(table.by_name, None) | row(draw, columns, number) for number in range(1, count + 1)]
    if not rarely(draw, 12):
        for held in (rows[0], rows[-1]):
            held |= {name: table.by_name[name].values[0] for name in ("workspace_id", "phone")}
    return replace(table, rows=refer_to_each_other(draw, table, rows))


def _primary(draw: DrawFn) -> tuple[tuple[str, ...], list[Column]]:
    kind = draw(st.sampled_from(KEYS))
    one = Column(name="id", type=kind.type, key=kind.value, extra=kind.extra)
    shape = draw(st.sampled_from(("id", "id", "id", "id", "region and id", "workspace_id and id")))
    if shape == "id":
        return ("id",), [one]
    if shape == "workspace_id and id":
        return ("workspace_id", "id"), [one]
    region = Column(name="region", type="text", key=lambda n: "NE"[n % 2])
    return ("region", "id"), [region, replace(one, key=lambda n: kind.value((n + 1) // 2))]


def _dedupe_key(draw: DrawFn, primary: Sequence[str]) -> list[Column]:
    workspace, phone = draw(st.sampled_from(WORKSPACES)), draw(st.sampled_from(PHONES))
    certain = "workspace_id" in primary or draw(st.booleans())
    first, *others = workspace.values
    spaces: tuple[str | None, ...] = (first, first, *others) if certain else (first, first, first, *others, None)
    *usual, last = phone.values
    phones = (*usual, *usual, *usual, None, last if rarely(draw, 3) else usual[0])
    return [
        Column(name="workspace_id", type=workspace.type, values=spaces, not_null=certain),
        Column(name="phone", type=phone.type, values=phones),
    ]


def _second_keys(draw: DrawFn, columns: list[Column], primary: tuple[str, ...]) -> list[Key]:
    """Other unique keys, which children may refer to; adds the columns that they need."""
    keys = []
    if rarely(draw, 3) and primary == ("id",):
        keys.append(Key(columns=("workspace_id", "id"), form=draw(st.sampled_from(("constraint", "index")))))
    if rarely(draw, 3):
        kind = draw(st.sampled_from([kind for kind in KEYS if "GENERATED" not in kind.extra]))
        certain = draw(st.booleans())
        columns.append(Column(name="code", type=kind.type, key=lambda n: kind.value(100 - n), not_null=certain))
        keys.append(Key(columns=("code",), form="constraint", nulls_not_distinct=certain and draw(st.booleans())))
    if rarely(draw, 3):
        columns.append(EMAIL)
        keys.append(draw(st.sampled_from(EMAIL_KEYS)))
    return keys


def _own_links(draw: DrawFn, keys: Sequence[Key], columns: list[Column]) -> list[Link]:
    """References of contacts to contacts, such as who recommended whom; adds their columns."""
    if not rarely(draw, 3):
        return []
    key = draw(st.sampled_from([key for key in keys if key.can_be_referenced and not key.deferrable]))
    types = {column.name: column.type for column in columns}
    own = ["workspace_id" if part == "workspace_id" else f"by_{part}" for part in key.columns]
    columns += [Column(name=name, type=types[part]) for name, part in zip(own, key.columns, strict=True) if name != part]
    return [link_to(draw, own, NAME, key.columns, declared=False)]
