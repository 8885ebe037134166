"""An archive or journal table beside the table it came from, as that one is shaped today. Composes statements."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..archive_layout import key
from ..catalog.facts import Column, Table
from ..compose import Fragment, comma, fragment, ident, some, template
from ..merge.statements import of, old, source
from ..sql import load

SQL = load("restore")


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

    def insert(self, staying: Iterable[Fragment] = ()) -> sql.Composed:
        """Columns that both sides still have, without the generated ones; rows of ``~j`` that one of ``staying`` holds for
        stay in the archive.
        """
        shared = self.shared
        return SQL["insert"].format(
            archive=self.relation,
            table=self.target,
            columns=comma(ident(self.columns[n].name) for n in shared),
            archived=comma(of("~back", ident(self.names[n])) for n in shared),
            waiting=some([*(self.waiting(n) for n in self.moving), *staying]),
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

    def former(self, number: int) -> sql.Identifier:
        """The column for what this one, of the key or another, was before the change."""
        if self.kind == "archive":
            return ident(self.names[number])
        return old(number) if number in self.numbers else key(number)

    @cached_property
    def then(self) -> Mapping[int, int]:
        """The number that each column of today had, of those whose former values are known."""
        return {column.number: number for number, column in self.columns.items()}

    def held(self, alias: str, number: int) -> Fragment:
        """What a column held, as its type of today."""
        column, value = self.columns[number], of(alias, self.former(number))
        kept = next(c for c in self.kept.columns if ident(c.name) == self.former(number))
        return value if kept.type == column.type else template("CAST({} AS {})").format(value, fragment(column.type))

    def _beside(self, number: int) -> Fragment:
        """The row that this reference leads to is in the same archive still, and not asked for together with this one."""
        return template(
            'EXISTS (SELECT FROM {} AS "~b" WHERE "~b"."~op" = "~j"."~op" AND "~b"."~row" = {}'
            ' AND NOT "~b"."~id" = ANY (%(only)s::bigint[]))'
        ).format(self.relation, of("~j", source(number)))
