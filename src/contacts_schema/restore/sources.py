"""An archive or journal table beside the table it came from, as that one is shaped today. Composes statements."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..archive import key
from ..catalog.facts import Column, Table
from ..compose import NOTHING, TRUE, Fragment, comma, differ, every, fragment, ident, identical, some, template
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
        shared = self._shared
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

    def moved_from(self) -> sql.Composed:
        sources = template("ARRAY[{}]::bigint[]").format(comma(source(n) for n in self.moving))
        return SQL["moved_from"].format(sources=sources, journal=self.relation)

    def hold(self) -> sql.Composed:
        """Lock the rows that an operation changed; those without a primary key are found once, and where they are noted."""
        if self.keys:
            return SQL["hold"].format(table=self.target, journal=self.relation, same_row=self._same_row)
        relation, matched = sql.Literal(self.id), self._matched()
        return SQL["find"].format(table=self.target, relation=relation, matched=matched)

    def look(self, later: Sequence["Source"]) -> sql.Composed:
        """What became of them; ``later`` are sources of this table in which something is left that was done later."""
        row: Fragment = template('{} AS "~t"').format(self.target)
        same_row: Fragment = self._same_row
        if not self.keys:
            row = template('(SELECT "~id" AS "~found" FROM pg_temp."~found" WHERE "~relation" = {}) AS "~t"').format(
                sql.Literal(self.id)
            )
            same_row = sql.SQL('"~t"."~found" = "~j"."~id"')
        gone = sql.SQL('("~t".ctid IS NULL)') if self.keys else sql.SQL('("~t"."~found" IS NULL)')
        return SQL["look"].format(
            journal=self.relation,
            key=self.key_text("~j"),
            row=row,
            same_row=same_row,
            gone=gone,
            waiting=some(self._waiting(n) for n in self.moving),
            superseded=some(self._superseded(later, gone)),
            changed=some(self._changed(n) for n in self.moving if n in self.columns and self.keys),
            ours=some(self._ours(n) for n in self._settable),
        )

    def undo(self, position: int) -> sql.Composed:
        found = template(', (SELECT * FROM pg_temp."~found" WHERE "~relation" = {}) AS "~f"').format(sql.Literal(self.id))
        return SQL["undo_table"].format(
            undone=ident(f"~undone{position}"),
            only=sql.Placeholder(f"only{position}"),
            table=self.target,
            journal=self.relation,
            values=comma(self._value(n) for n in self._settable),
            found=NOTHING if self.keys else found,
            same_row=self._same_row,
            ours=some(self._ours(n) for n in self._settable),
        )

    def settle(self) -> sql.Composed:
        """Of a row that waits in one of its columns the others are done: as it is now it will be found again."""
        done = {n: self._done(n) for n in self.numbers}
        values = [
            template("{} = CASE WHEN {} THEN {} ELSE {} END").format(column, condition, old(n), column)
            for n, condition in done.items()
            for column in (new(n), *((key(n),) if n in self.keys else ()))
        ]
        return SQL["settle"].format(journal=self.relation, values=comma(values))

    def _done(self, number: int) -> Fragment:
        return template("NOT {}").format(self._waiting(number)) if number in self.moving else TRUE

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
        return template("CAST({} AS {})").format(value, fragment(_comparable(column)))

    def _holds(self, number: int, kept: Callable[[int], sql.Identifier]) -> Fragment:
        """The column holds what the journal has as ``old`` or as ``new``."""
        if not self.keys:  # found by all that it holds
            return TRUE if kept is new else sql.SQL("false")
        now, then = self._t(number), self._typed(number, of("~j", kept(number)))
        return identical([self._compared(number, now)], [self._compared(number, then)])

    def _changed(self, number: int) -> Fragment:
        """The merge changed the column, and people have since."""
        held = template("({} OR {})").format(self._holds(number, new), self._holds(number, old))
        return template("({} AND NOT {})").format(self._set(number), held)

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

    def _superseded(self, later: Sequence["Source"], gone: Fragment) -> Iterator[Fragment]:
        """What was done to the same row later is not undone yet: this change's turn comes after that one's."""
        for other in later:
            same = self._known_later(other, gone)
            if same is not None:
                yield template('EXISTS (SELECT FROM {} AS "~s" WHERE "~s"."~op" > "~j"."~op" AND {})').format(
                    other.relation, same
                )

    def _known_later(self, other: "Source", gone: Fragment) -> Fragment | None:
        if self.keys and other.keys == self.keys:
            return every(
                template("{} {} {}").format(
                    of("~s", other.former_key(n)), fragment(self.columns[n].equality or "="), of("~j", key(n))
                )
                for n in self.keys
            )
        if self.keys or other.kind == "archive" or other.numbers != self.numbers:
            return None
        # Such rows are known by what they hold: as this change left the row, the later one found it.
        held, left = ([of(a, c(n)) for n in self._shared] for a, c in (("~s", old), ("~j", new)))
        return template("{} AND {} = {}").format(gone, _image(held), _image(left))

    def former_key(self, number: int) -> sql.Identifier:
        """The column for what the key was before the change."""
        if self.kind == "archive":
            return ident(self.names[number])
        return old(number) if number in self.numbers else key(number)

    def _beside(self, number: int) -> Fragment:
        """The row that this reference leads to is in the same archive still, and not asked for together with this one."""
        return template(
            'EXISTS (SELECT FROM {} AS "~b" WHERE "~b"."~op" = "~j"."~op" AND "~b"."~row" = {}'
            ' AND NOT "~b"."~id" = ANY (%(only)s::bigint[]))'
        ).format(self.relation, of("~j", source(number)))

    def _ours(self, number: int) -> Fragment:
        conditions = [self._set(number), self._holds(number, new)]
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

    @cached_property
    def _same_row(self) -> Fragment:
        if not self.keys:
            return sql.SQL('"~f"."~id" = "~j"."~id" AND "~t".ctid = "~f"."~tid" AND "~t".tableoid = "~f"."~rel"')
        return every(
            template("{} {} {}").format(
                of("~t", ident(self.columns[n].name)), fragment(self.columns[n].equality or "="), of("~j", key(n))
            )
            for n in self.keys
        )

    def _matched(self) -> sql.Composed:
        """Rows without a primary key, each beside the journal's row that tells of it."""
        return SQL["matched"].format(
            journal=self.relation,
            table=self.target,
            journal_image=_image([new(n) for n in self._shared]),
            table_image=_image([of("~s", ident(self.columns[n].name)) for n in self._shared]),
            candidate=some(self._refers_alike(n) for n in self.moving if n in self.columns),
        )

    def _refers_alike(self, number: int) -> Fragment:
        """The row may be one of the journal's, by one reference. Each is asked for on its own: the planner can hash that."""
        equal = template("{} {} {}").format(
            of("~s", ident(self.columns[number].name)), fragment(self.columns[number].equality or "="), of("~e", new(number))
        )
        return template('EXISTS (SELECT FROM {} AS "~e" WHERE "~e"."~op" = %(op)s AND {})').format(self.relation, equal)


def _image(columns: Sequence[Fragment]) -> Fragment:
    """A row's text, hashed: equal images have equal hashes whatever their types can compare."""
    return template("pg_catalog.md5(ROW({})::text)").format(comma(columns))


def _comparable(column: Column) -> str:
    return "text" if column.category == "S" else column.base_type
