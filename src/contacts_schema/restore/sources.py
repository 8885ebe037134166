"""An archive or journal table beside the table it came from, as that one is shaped today. Composes statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..archive import key
from ..catalog.facts import Column, Table
from ..compose import TRUE, Fragment, comma, differ, every, fragment, ident, some, template
from ..merge.statements import NodeStatements, new, of, old, source
from ..merge.tree import Edge
from ..sql import load

SQL = load("restore")
LATER = template('({} AND EXISTS (SELECT FROM {} AS "~s" WHERE "~s"."~op" > "~j"."~op" AND {}))')
"""Something was done later, and is not undone yet: whether any is left, of which relation, to which of its rows."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """``kept`` is the archive or journal table, ``table`` its source, None where that is gone.

    ``columns`` are the source's columns of today by the attribute number they had; ``names`` what the archive calls
    them.
    """

    id: int
    kind: str
    schema: str
    kept: Table
    table: Table | None
    label: str
    columns: Mapping[int, Column]
    names: Mapping[int, str]
    numbers: tuple[int, ...]
    keys: tuple[int, ...]
    moving: tuple[int, ...]

    @cached_property
    def relation(self) -> sql.Identifier:
        return ident(self.schema, self.kept.name)

    @cached_property
    def target(self) -> sql.Identifier:
        assert self.table is not None
        return ident(self.table.schema, self.table.name)

    @property
    def undoable(self) -> bool:
        """The table is there, and so is every column of the key that its rows are found by."""
        return self.table is not None and all(n in self.columns for n in self.keys)

    def insert(
        self, above: Sequence[tuple[Edge, Source]], is_left: Callable[[Source], Fragment] = lambda _: TRUE
    ) -> sql.Composed:
        """Columns that both sides still have, without the generated ones; of the tables ``above``, which this one refers
        to, something is left. ``is_left`` asks the server for it, where only that will know.
        """
        shared = self.shared
        return SQL["insert"].format(
            archive=self.relation,
            table=self.target,
            columns=comma(ident(self.columns[n].name) for n in shared),
            archived=comma(of("~back", ident(self.names[n])) for n in shared),
            waiting=some([*(self.waiting(n) for n in self.moving), *self._without_its_parent(above, is_left)]),
            beside=some(self._beside(n) for n in self.moving),
        )

    def key_text(self, alias: str | None = None) -> Fragment:
        """``id=7`` of a row, for people."""
        if not self.keys:
            return sql.SQL("'a row without a primary key'")
        names = [ident(self.names[n]) if self.kind == "archive" else key(n) for n in self.keys]
        parts = [
            template("pg_catalog.format('%%s=%%s', {}::text, {}::text)").format(
                sql.Literal(self.names[n].replace("%", "%%")), of(alias, name) if alias else name
            )
            for n, name in zip(self.keys, names, strict=True)
        ]
        return template("pg_catalog.concat_ws(', ', {})").format(comma(parts))

    def left_keys(self) -> sql.Composed:
        return SQL["left_keys"].format(keys=self.key_text(), relation=self.relation)

    @cached_property
    def shared(self) -> list[int]:
        return [n for n in self.numbers if n in self.columns and not self.columns[n].generated]

    def waiting(self, number: int) -> Fragment:
        """The row that this reference was moved away from is not back."""
        return template('EXISTS (SELECT FROM pg_temp."~left" AS "~l" WHERE "~l"."~row" = {})').format(
            of("~j", source(number))
        )

    @property
    def known(self) -> set[int]:
        """Columns of which it holds what they were before."""
        return {*self.numbers, *self.keys}

    def former(self, number: int) -> sql.Identifier:
        """The column for what this one, of the key or another, was before the change."""
        if self.kind == "archive":
            return ident(self.names[number])
        return old(number) if number in self.numbers else key(number)

    def _without_its_parent(
        self, above: Sequence[tuple[Edge, Source]], is_left: Callable[[Source], Fragment]
    ) -> Iterator[Fragment]:
        """The row that it refers to went later, and is not back: another may have its key by now."""
        for edge, other in above:
            parents = [other.then[pair.parent] for pair in edge.pairs if pair.parent in other.then]
            children = [pair.child for pair in edge.pairs if pair.child in self.then]
            gone = other.left_its_key(parents)
            if len(parents) == len(children) == len(edge.pairs) and gone is not None:
                same = [
                    template("{} {} {}").format(
                        NodeStatements.cast(pair, other.held("~s", other.then[pair.parent])),
                        fragment(pair.equality),
                        self.held("~j", self.then[pair.child]),
                    )
                    for pair in edge.pairs
                ]
                left = LATER.format(
                    TRUE if other.kind == "archive" else is_left(other), other.relation, every([*same, gone])
                )
                yield template("({} AND {})").format(self._condition(edge), left)

    @cached_property
    def then(self) -> Mapping[int, int]:
        """The number that each column of today had, of those whose former values are known."""
        return {column.number: number for number, column in self.columns.items()}

    def left_its_key(self, numbers: Sequence[int]) -> Fragment | None:
        """A row that stayed has been given another key; None where none of these columns was changed."""
        if self.kind == "archive":
            return TRUE
        changed = [n for n in numbers if n in self.numbers]
        return differ([of("~s", old(n)) for n in changed], [of("~s", new(n)) for n in changed]) if changed else None

    def held(self, alias: str, number: int) -> Fragment:
        """What a column held, as its type of today."""
        column, value = self.columns[number], of(alias, self.former(number))
        kept = next(c for c in self.kept.columns if ident(c.name) == self.former(number))
        return value if kept.type == column.type else template("CAST({} AS {})").format(value, fragment(column.type))

    def _condition(self, edge: Edge) -> Fragment:
        """A declared condition, over the row as it is archived: it may qualify columns with the table's name.

        Of a column that has come since nothing is known: then it is taken to hold.
        """
        if edge.condition is None or self.table is None:
            return TRUE
        known = [template("{} AS {}").format(self.held("~j", self.then[n]), ident(c.name)) for n, c in self._today]
        unknown = [template("NULL::{} AS {}").format(fragment(c.type), ident(c.name)) for c in self.table.columns]
        unknown = [value for value, c in zip(unknown, self.table.columns, strict=True) if c.number not in self.then]
        return template("(SELECT {} {} FROM (SELECT {}) AS {})").format(
            NodeStatements.condition(edge),
            template("IS NOT FALSE" if unknown else "IS TRUE"),
            comma([*known, *unknown]),
            ident(self.table.name),
        )

    @property
    def _today(self) -> list[tuple[int, Column]]:
        return [(column.number, column) for column in self.columns.values()]

    def _beside(self, number: int) -> Fragment:
        """The row that this reference leads to is in the same archive still, and not asked for together with this one."""
        return template(
            'EXISTS (SELECT FROM {} AS "~b" WHERE "~b"."~op" = "~j"."~op" AND "~b"."~row" = {}'
            ' AND NOT "~b"."~id" = ANY (%(only)s::bigint[]))'
        ).format(self.relation, of("~j", source(number)))
