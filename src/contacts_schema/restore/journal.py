"""The statements that undo what a journal tells of, in the table as that is today. Composes text; runs nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..archive_layout import key
from ..catalog.facts import Column, ForeignKey
from ..compose import NOTHING, TRUE, Fragment, comma, differ, every, fragment, ident, identical, some, template
from ..merge.statements import new, of, old, source
from .later import LATER
from .sources import SQL, Source


@dataclass(frozen=True, kw_only=True)
class Journal:
    """A journal beside its table. In all of its statements ``~j`` is the journal and ``~t`` the table."""

    source: Source

    def moved_from(self) -> sql.Composed:
        sources = template("ARRAY[{}]::bigint[]").format(comma(source(n) for n in self.source.moving))
        return SQL["moved_from"].format(sources=sources, journal=self.source.relation)

    def hold(self) -> sql.Composed:
        """Lock the rows that an operation changed; those without a primary key are found once, and where they are noted."""
        if self.source.keys:
            return SQL["hold"].format(table=self.source.target, journal=self.source.relation, same_row=self._same_row)
        relation, matched = sql.Literal(self.source.id), self._matched()
        return SQL["find"].format(table=self.source.target, relation=relation, matched=matched)

    def look(
        self,
        later: Sequence[Source],
        below: Sequence[tuple[ForeignKey, Source]],
        is_left: Callable[[Source], Fragment] = lambda _: TRUE,
    ) -> sql.Composed:
        """What became of them; in ``later`` something is left that was done to this table later, in ``below`` something
        of a table that refers to it. ``is_left`` asks the server for it, where only that will know.
        """
        row: Fragment = template('{} AS "~t"').format(self.source.target)
        same_row: Fragment = self._same_row
        if not self.source.keys:
            row = template('(SELECT "~id" AS "~found" FROM pg_temp."~found" WHERE "~relation" = {}) AS "~t"').format(
                sql.Literal(self.source.id)
            )
            same_row = sql.SQL('"~t"."~found" = "~j"."~id"')
        gone = sql.SQL('("~t".ctid IS NULL)') if self.source.keys else sql.SQL('("~t"."~found" IS NULL)')
        return SQL["look"].format(
            journal=self.source.relation,
            key=self.source.key_text("~j"),
            row=row,
            same_row=same_row,
            gone=gone,
            waiting=some(self.source.waiting(n) for n in self.source.moving),
            superseded=some([*self._superseded(later, gone, is_left), *self._needed(below, is_left)]),
            changed=some(self._changed(n) for n in self.source.moving if n in self.source.columns and self.source.keys),
            ours=some(self._ours(n) for n in self._settable),
        )

    def undo(self, position: int) -> sql.Composed:
        found = template(', (SELECT * FROM pg_temp."~found" WHERE "~relation" = {}) AS "~f"').format(
            sql.Literal(self.source.id)
        )
        return SQL["undo_table"].format(
            undone=ident(f"~undone{position}"),
            only=sql.Placeholder(f"only{position}"),
            table=self.source.target,
            journal=self.source.relation,
            values=comma(self._value(n) for n in self._settable),
            found=NOTHING if self.source.keys else found,
            same_row=self._same_row,
            ours=some(self._ours(n) for n in self._settable),
        )

    def settle(self) -> sql.Composed:
        """Of a row that waits in one of its columns the others are done: as it is now it will be found again."""
        done = {n: self._done(n) for n in self.source.numbers}
        values = [
            template("{} = CASE WHEN {} THEN {} ELSE {} END").format(column, condition, old(n), column)
            for n, condition in done.items()
            for column in (new(n), *((key(n),) if n in self.source.keys else ()))
        ]
        return SQL["settle"].format(journal=self.source.relation, values=comma(values))

    def _done(self, number: int) -> Fragment:
        return template("NOT {}").format(self.source.waiting(number)) if number in self.source.moving else TRUE

    @cached_property
    def _settable(self) -> list[int]:
        """An identity that is GENERATED ALWAYS can be inserted, not updated; nothing can have changed it."""
        return [n for n in self.source.shared if self.source.columns[n].identity != "a"]

    def _t(self, number: int) -> sql.Composed:
        return of("~t", ident(self.source.columns[number].name))

    def _typed(self, number: int, value: sql.Composed) -> Fragment:
        """The journal's value as the column's type of today, where that has changed."""
        column = self.source.columns[number]
        kept = next(c for c in self.source.kept.columns if c.name == f"~o{number}")
        if kept.type == column.type:
            return value
        return template("CAST({} AS {})").format(value, fragment(_comparable(column)))

    def _holds(self, number: int, kept: Callable[[int], sql.Identifier]) -> Fragment:
        """The column holds what the journal has as ``old`` or as ``new``."""
        if not self.source.keys:  # found by all that it holds
            return TRUE if kept is new else sql.SQL("false")
        now, then = self._t(number), self._typed(number, of("~j", kept(number)))
        return identical([self._compared(number, now)], [self._compared(number, then)])

    def _changed(self, number: int) -> Fragment:
        """The merge changed the column, and people have since."""
        held = template("({} OR {})").format(self._holds(number, new), self._holds(number, old))
        return template("({} AND NOT {})").format(self._set(number), held)

    def _compared(self, number: int, value: Fragment) -> Fragment:
        """Images compare by type: lengths and domains are put aside."""
        return template("CAST({} AS {})").format(value, fragment(_comparable(self.source.columns[number])))

    @staticmethod
    def _set(number: int) -> Fragment:
        """The merge changed this column in this row."""
        return differ([of("~j", old(number))], [of("~j", new(number))])

    def _superseded(
        self, later: Sequence[Source], gone: Fragment, is_left: Callable[[Source], Fragment]
    ) -> Iterator[Fragment]:
        """What was done to the same row later is not undone yet: this change's turn comes after that one's."""
        for other in later:
            same = self._known_later(other, gone)
            if same is not None:
                yield LATER.format(is_left(other), other.relation, same)

    def _needed(
        self, below: Sequence[tuple[ForeignKey, Source]], is_left: Callable[[Source], Fragment]
    ) -> Iterator[Fragment]:
        """A row that is not undone yet will need the key that this one has now."""
        for key_below, other in below:
            columns = [
                (other.then[child], self.source.then[parent], equality)
                for child, parent, equality in zip(
                    key_below.columns, key_below.parent_columns, key_below.equality, strict=True
                )
                if child in other.then and self.source.then.get(parent) in self.source.numbers
            ]
            if len(columns) == len(key_below.columns):
                same = every(
                    template("{} {} {}").format(of("~j", new(parent)), fragment(equality), of("~s", other.former(child)))
                    for child, parent, equality in columns
                )
                yield LATER.format(is_left(other), other.relation, same)

    def _known_later(self, other: Source, gone: Fragment) -> Fragment | None:
        if self.source.keys and other.keys == self.source.keys:
            return every(
                template("{} {} {}").format(
                    of("~s", other.former(n)), fragment(self.source.columns[n].equality or "="), of("~j", key(n))
                )
                for n in self.source.keys
            )
        if self.source.keys or other.kind == "archive":
            return None
        # Such rows are known by what they hold: as this change left the row, the later one found it.
        shared = [n for n in self.source.shared if n in other.numbers]
        held, left = ([of(a, c(n)) for n in shared] for a, c in (("~s", old), ("~j", new)))
        return template("{} AND {} = {}").format(gone, _image(held), _image(left))

    def _ours(self, number: int) -> Fragment:
        conditions = [self._set(number), self._holds(number, new)]
        if number in self.source.moving:
            conditions.append(template("NOT {}").format(self.source.waiting(number)))
        return template("({})").format(every(conditions))

    def _value(self, number: int) -> Fragment:
        return template("{} = CASE WHEN {} THEN {} ELSE {} END").format(
            ident(self.source.columns[number].name),
            self._ours(number),
            self._typed(number, of("~j", old(number))),
            self._t(number),
        )

    @cached_property
    def _same_row(self) -> Fragment:
        if not self.source.keys:
            return sql.SQL('"~f"."~id" = "~j"."~id" AND "~t".ctid = "~f"."~tid" AND "~t".tableoid = "~f"."~rel"')
        return every(
            template("{} {} {}").format(
                of("~t", ident(self.source.columns[n].name)),
                fragment(self.source.columns[n].equality or "="),
                of("~j", key(n)),
            )
            for n in self.source.keys
        )

    def _matched(self) -> sql.Composed:
        """Rows without a primary key, each beside the journal's row that tells of it."""
        return SQL["matched"].format(
            journal=self.source.relation,
            table=self.source.target,
            journal_image=_image([new(n) for n in self.source.shared]),
            table_image=_image([of("~s", ident(self.source.columns[n].name)) for n in self.source.shared]),
            candidate=some(self._refers_alike(n) for n in self.source.moving if n in self.source.columns),
        )

    def _refers_alike(self, number: int) -> Fragment:
        """The row may be one of the journal's, by one reference. Each is asked for on its own: the planner can hash that."""
        equal = template("{} {} {}").format(
            of("~s", ident(self.source.columns[number].name)),
            fragment(self.source.columns[number].equality or "="),
            of("~e", new(number)),
        )
        return template('EXISTS (SELECT FROM {} AS "~e" WHERE "~e"."~op" = %(op)s AND {})').format(
            self.source.relation, equal
        )


def _image(columns: Sequence[Fragment]) -> Fragment:
    """A row's text, hashed: equal images have equal hashes whatever their types can compare."""
    return template("pg_catalog.md5(ROW({})::text)").format(comma(columns))


def _comparable(column: Column) -> str:
    return "text" if column.category == "S" else column.base_type
