"""An archive or journal table beside the table it came from, as that one is shaped today. Composes statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..archive import key
from ..catalog.facts import Column, Table
from ..compose import NOTHING, Fragment, comma, differ, every, fragment, ident, identical, some, template
from ..merge.statements import new, of, old, source
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

    def insert(self) -> sql.Composed:
        """Columns that both sides still have, without the generated ones."""
        shared = [n for n in self.numbers if n in self.columns and not self.columns[n].generated]
        return SQL["insert"].format(
            archive=self.relation,
            table=self.target,
            columns=comma(ident(self.columns[n].name) for n in shared),
            archived=comma(of("~back", ident(self.names[n])) for n in shared),
            waiting=some(self._waiting(n) for n in self.moving),
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

    # The journal

    def journal_key(self) -> sql.Composed:
        return SQL["journal_key"].format(key=self.key_text(), journal=self.relation)

    def moved_from(self) -> sql.Composed:
        sources = template("ARRAY[{}]::bigint[]").format(comma(source(n) for n in self.moving))
        return SQL["moved_from"].format(sources=sources, journal=self.relation)

    def undo(self, position: int) -> sql.Composed:
        return SQL["undo_table"].format(
            undone=ident(f"~undone{position}"),
            only=sql.Placeholder(f"only{position}"),
            table=self.target,
            journal=self.relation,
            values=comma(self._value(n) for n in self._settable),
            matched=NOTHING if self.keys else self._matched(),
            same_row=self._same_row("~t"),
            ours=some(self._ours(n) for n in self._settable),
        )

    def obstacles(self, later: Sequence["Source"]) -> sql.Composed:
        """Journal rows that will not be undone; ``later`` are this table's journals in which later changes wait."""
        row: Fragment = template('{} AS "~t"').format(self.target)
        if not self.keys:
            row = template('(SELECT "~m"."~id" AS "~mid" FROM {}) AS "~t"').format(self._subquery())
        gone = sql.SQL('("~t".ctid IS NULL)') if self.keys else sql.SQL('("~t"."~mid" IS NULL)')
        watched = [n for n in self.moving if n in self.columns] if self.keys else []
        return SQL["obstacles"].format(
            journal=self.relation,
            key=self.key_text("~j"),
            row=row,
            same_row=self._same_row("~t") if self.keys else sql.SQL('"~t"."~mid" = "~j"."~id"'),
            gone=gone,
            waiting=some([*(self._waiting(n) for n in self.moving), *self._superseded(later)]),
            changed=template("(NOT {} AND {})").format(
                gone, some(template("({} AND NOT {})").format(self._set(n), self._still(n)) for n in watched)
            ),
        )

    @cached_property
    def _shared(self) -> list[int]:
        return [n for n in self.numbers if n in self.columns and not self.columns[n].generated]

    @cached_property
    def _settable(self) -> list[int]:
        """An identity that is GENERATED ALWAYS can be inserted, not updated; nothing can have changed it."""
        return [n for n in self._shared if self.columns[n].identity != "a"]

    def _t(self, number: int) -> sql.Composed:
        return of("~t", ident(self.columns[number].name))

    def _typed(self, number: int, value: sql.Composed) -> Fragment:
        """The journal's value as the column's type of today, where that has changed."""
        column = self.columns[number]
        kept = next(c for c in self.kept.columns if c.name == f"~o{number}")
        if kept.type == column.type:
            return value
        base = "text" if column.category == "S" else column.base_type
        return template("CAST({} AS {})").format(value, fragment(base))

    def _still(self, number: int) -> Fragment:
        """The column holds what we put there."""
        now, ours = self._t(number), self._typed(number, of("~j", new(number)))
        return identical([self._compared(number, now)], [self._compared(number, ours)])

    def _compared(self, number: int, value: Fragment) -> Fragment:
        """Images compare by type: lengths and domains are put aside."""
        return template("CAST({} AS {})").format(value, fragment(_comparable(self.columns[number])))

    @staticmethod
    def _set(number: int) -> Fragment:
        """The merge changed this column in this row."""
        return differ([of("~j", old(number))], [of("~j", new(number))])

    def _waiting(self, number: int) -> Fragment:
        """The row that this reference was moved away from is not back."""
        return template('EXISTS (SELECT FROM pg_temp."~left" AS "~l" WHERE "~l"."~row" = {})').format(
            of("~j", source(number))
        )

    def _superseded(self, later: Sequence["Source"]) -> list[Fragment]:
        """A later change of the same row waits still: this one's turn comes when that one is undone."""
        if not self.keys:
            return []
        return [
            template('EXISTS (SELECT FROM {} AS "~s" WHERE "~s"."~op" > "~j"."~op" AND {})').format(
                other.relation,
                every(
                    template("{} {} {}").format(
                        of("~s", other.former_key(n)), fragment(self.columns[n].equality or "="), of("~j", key(n))
                    )
                    for n in self.keys
                ),
            )
            for other in later
            if other.keys == self.keys
        ]

    def former_key(self, number: int) -> sql.Identifier:
        """The journal's column for what the key was before the change."""
        return old(number) if number in self.numbers else key(number)

    def _beside(self, number: int) -> Fragment:
        """The row that this reference leads to is in the same archive still."""
        return template('EXISTS (SELECT FROM {} AS "~b" WHERE "~b"."~op" = "~j"."~op" AND "~b"."~row" = {})').format(
            self.relation, of("~j", source(number))
        )

    def _ours(self, number: int) -> Fragment:
        conditions = [self._set(number), self._still(number)]
        if number in self.moving:
            conditions.append(template("NOT {}").format(self._waiting(number)))
        return template("({})").format(every(conditions))

    def _value(self, number: int) -> Fragment:
        return template("{} = CASE WHEN {} THEN {} ELSE {} END").format(
            ident(self.columns[number].name),
            self._ours(number),
            self._typed(number, of("~j", old(number))),
            self._t(number),
        )

    def _same_row(self, alias: str) -> Fragment:
        if not self.keys:
            return sql.SQL('"~m"."~id" = "~j"."~id" AND "~t".ctid = "~m"."~tid" AND "~t".tableoid = "~m"."~rel"')
        return every(
            template("{} {} {}").format(
                of(alias, ident(self.columns[n].name)), fragment(self.columns[n].equality or "="), of("~j", key(n))
            )
            for n in self.keys
        )

    # Rows without a primary key

    def _subquery(self) -> sql.Composed:
        """The same pairing of journal and rows, standing alone."""
        return template(self._matched_text().removeprefix(", ")).format(**self._matched_parts())

    def _matched_text(self) -> str:
        return SQL["matched"].as_string(None).split("\n", 1)[1]

    def _matched(self) -> sql.Composed:
        return template(self._matched_text()).format(**self._matched_parts())

    def _matched_parts(self) -> dict[str, Fragment]:
        return {
            "journal": self.relation,
            "table": self.target,
            "journal_image": _image([new(n) for n in self._shared]),
            "table_image": _image([of("~s", ident(self.columns[n].name)) for n in self._shared]),
            "candidate": some(self._refers_alike(n) for n in self.moving if n in self.columns),
        }

    def _refers_alike(self, number: int) -> Fragment:
        """The row may be one of the journal's, by one reference. Each is asked for on its own: the planner can hash that."""
        equal = template("{} {} {}").format(
            of("~s", ident(self.columns[number].name)), fragment(self.columns[number].equality or "="), of("~e", new(number))
        )
        return template('EXISTS (SELECT FROM {} AS "~e" WHERE "~e"."~op" = %(op)s AND {})').format(self.relation, equal)


def _image(columns: list[Fragment]) -> Fragment:
    """A row's text, hashed: equal images have equal hashes whatever their types can compare."""
    return template("pg_catalog.md5(ROW({})::text)").format(comma(columns))


def _comparable(column: Column) -> str:
    return "text" if column.category == "S" else column.base_type
