"""A random schema as a value: tables with their keys, references and rows, and the settings of its upgrade."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

__all__ = ["MARK", "Check", "Column", "Key", "Link", "Row", "Schema", "Table"]

Row: TypeAlias = Mapping[str, str | None]

MARK = "mark"
"""A column that tells a row again whatever its key becomes. An identity: to the merge it says nothing."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """`values` are the texts that a row may hold; `key` gives the text of the nth row's instead."""

    name: str
    type: str
    values: tuple[str | None, ...] = ()
    key: Callable[[int], str] | None = field(default=None, repr=False)
    not_null: bool = False
    extra: str = ""
    default: str | None = None

    @property
    def generated(self) -> bool:
        return self.extra.startswith("GENERATED ALWAYS AS (")

    @property
    def nullable(self) -> bool:
        return not (self.not_null or self.extra)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Something unique. `mentions` are columns that expressions and the predicate depend on; `covers` is the latter."""

    columns: tuple[str, ...]
    expressions: tuple[str, ...] = ()
    predicate: str | None = None
    covers: Callable[[Row], bool] = field(default=lambda _: True, repr=False)
    mentions: tuple[str, ...] = ()
    form: Literal["primary", "constraint", "index"] = "index"
    deferrable: str = ""
    nulls_not_distinct: bool = False

    @property
    def can_be_referenced(self) -> bool:
        return not (self.expressions or self.predicate or self.deferrable)


@dataclass(frozen=True, kw_only=True)
class Link:
    """A reference: a foreign key, or one that only the settings declare. It may dangle where it is `not_valid`."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: str = ""
    match: str = ""
    declared: bool = False
    not_valid: bool = False

    @property
    def may_dangle(self) -> bool:
        return self.declared or self.not_valid

    def to(self, row: Row | None) -> dict[str, str | None]:
        """What the columns hold in a row that refers to this one, or to none."""
        return {c: row[p] if row else None for c, p in zip(self.columns, self.parent_columns, strict=True)}


@dataclass(frozen=True, kw_only=True)
class Check:
    """What rows must be; those of before need not where it is `not_valid`."""

    expression: str
    not_valid: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """`stamped` tables have a trigger that sets `updated_at`. One without a primary key has no mark either. Where there is a
    `gap` a column was dropped, so that the others' numbers are not their places. `partitioned` by the hash of a column.
    """

    name: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]
    links: tuple[Link, ...] = ()
    rows: tuple[Row, ...] = ()
    stamped: bool = False
    gap: bool = False
    check: Check | None = None
    partitioned: str | None = None

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def primary(self) -> tuple[str, ...]:
        return next((key.columns for key in self.keys if key.form == "primary"), ())

    @cached_property
    def linked(self) -> frozenset[str]:
        """Columns that hold references."""
        return frozenset(column for link in self.links for column in link.columns)

    @cached_property
    def referenced(self) -> tuple[Key, ...]:
        computed = {column.name for column in self.columns if column.generated}
        return tuple(key for key in self.keys if key.can_be_referenced and not computed & {*key.columns})

    @cached_property
    def colliding(self) -> tuple[Key, ...]:
        """Keys by which rows can become duplicates of each other when references move."""
        moving = self.linked | {column.name for column in self.columns if column.generated}
        return tuple(key for key in self.keys if moving & {*key.columns, *key.mentions})


@dataclass(frozen=True, kw_only=True)
class Schema:
    """`tables` begin with the contacts, parents before children. `cap` is the most duplicates that a batch takes."""

    tables: tuple[Table, ...]
    settings: Mapping[str, Any]
    cap: int | None = None

    @property
    def contacts(self) -> Table:
        return self.tables[0]

    @cached_property
    def by_name(self) -> Mapping[str, Table]:
        return {table.name: table for table in self.tables}

    def is_led_along(self, table: Table, link: Link) -> bool:
        """It shares a column with a reference that moves, and leads to where no merge does: to whoever has that key."""
        shares = any(other is not link and {*other.columns} & {*link.columns} for other in table.links)
        parent = self.by_name[link.parent]
        moves = parent is self.contacts or parent.colliding or parent.linked & {*link.parent_columns}
        return shares and not (moves and self._hangs(parent))

    def _hangs(self, table: Table) -> bool:
        """On the contacts, at any depth."""
        parents = {link.parent for link in table.links} - {table.name}
        return table is self.contacts or any(self._hangs(self.by_name[name]) for name in parents)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis shows of it is short: a failing test notes the whole script."""
        printer.text(f"<{len(self.tables)} tables>")
