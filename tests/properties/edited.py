"""What must be true after a downgrade with edits before it: edits stay, the rest is back, what is not is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from tests.properties.images import DANGLING, Image
from tests.properties.merged import Merged
from tests.properties.model import MARK, Link, Row, Schema, Table

__all__ = ["Edited"]

Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Edited:
    """An upgrade, the images after the edits and after the downgrade, and what that says it `kept`."""

    merged: Merged
    edited: Image
    restored: Image
    kept: tuple[str, ...]

    @property
    def schema(self) -> Schema:
        return self.merged.schema

    def problems(self) -> Iterator[str]:
        """What is not as it must be, one line each."""
        yield from self.restored.dangling()
        for table in (table for table in self.schema.tables if table.primary):
            before, after, edited, restored = (dict(image.rows[table.name]) for image in self._images)
            yield from (f"{table.name} {m}: came from nowhere" for m in restored.keys() - before.keys() - edited.keys())
            yield from (f"{table.name} {m}: deleted, and back" for m in (after.keys() - edited.keys()) & restored.keys())
            for mark in edited.keys() - after.keys() - self._exchanged(table):
                yield from self._inserted(table, mark)
            for mark in before.keys() & after.keys() & edited.keys():
                yield from self._stayed(table, mark)
            for mark in before.keys() - after.keys():
                yield from self._returned(table, mark)
            for mark in before.keys() & after.keys() - self._exchanged(table):
                yield from self._unsaid(table, mark)
        yield from (problem for table in self.schema.tables if not table.primary for problem in self._unmarked(table))
        yield from self._unfounded()

    def _exchanged(self, table: Table) -> set[str]:
        """Rows that were deleted, and those inserted under their primary keys: nothing tells the ones from the others."""
        after, edited = self.merged.after.rows[table.name], self.edited.rows[table.name]
        deleted = {self._key(table, after[mark]): mark for mark in after.keys() - edited.keys()}
        inserted = {self._key(table, edited[mark]): mark for mark in edited.keys() - after.keys()}
        return {mark for key in deleted.keys() & inserted.keys() for mark in (deleted[key], inserted[key])}

    @staticmethod
    def _key(table: Table, row: Row) -> tuple[str | None, ...]:
        return tuple(row[column] for column in table.primary)

    @property
    def _images(self) -> tuple[Image, Image, Image, Image]:
        return self.merged.before, self.merged.after, self.edited, self.restored

    def _rows(self, table: Table, mark: str) -> tuple[Row, ...]:
        """A row before, after, edited and restored; what is not there is empty."""
        return tuple(image.rows[table.name].get(mark, {}) for image in self._images)

    def _inserted(self, table: Table, mark: str) -> Iterator[str]:
        """A row of people's own is as they left it; a key that moves back may take it along."""
        _, _, edited, restored = self._rows(table, mark)
        if not restored:
            yield f"{table.name} {mark}: was inserted, and is gone"
            return
        for link in self._marked(table.links):
            if self.restored.leads_to(link, restored) != self.edited.leads_to(link, edited):
                yield f"{table.name} {mark}: was inserted, and its {link.columns} leads elsewhere"
        for column in (c for c in edited if c not in table.linked and not self._computed(table, c)):
            if restored[column] != edited[column]:
                yield f"{table.name} {mark}: was inserted, and its {column} has changed"

    def _stayed(self, table: Table, mark: str) -> Iterator[str]:
        """A row that was never away: what people changed is theirs, the rest as before."""
        before, after, edited, restored = self._rows(table, mark)
        if not restored:
            yield f"{table.name} {mark}: is gone"
            return
        for column in (column for column in before if not self._computed(table, column)):
            theirs = edited[column] != after[column]
            if restored[column] == (edited if theirs else before)[column] or self._led_along(table, mark, column):
                continue
            if theirs or not self._said(table, mark):
                yield f"{table.name} {mark}: {column} is not {'as edited' if theirs else 'back'}"
            elif column not in table.linked and restored[column] != after[column]:
                yield f"{table.name} {mark}: {column} is neither as it was nor as it has been since"
        for link in (link for link in self._marked(table.links) if not self._changed(link, after, edited)):
            yield from self._leads_back(table, mark, link)

    def _led_along(self, table: Table, mark: str, column: str) -> bool:
        """The column belongs to a reference of people's own, whose row has got its old key back."""
        _, after, edited, restored = self._rows(table, mark)
        return any(
            self.restored.leads_to(link, restored) == self.edited.leads_to(link, edited)
            for link in table.links
            if column in link.columns and self._changed(link, after, edited)
        )

    def _returned(self, table: Table, mark: str) -> Iterator[str]:
        """A row that was merged is back as it was."""
        before, _, _, restored = self._rows(table, mark)
        if not restored:
            yield from self._waits(table, mark) if self._said(table, mark) else [f"{table.name} {mark}: is not back"]
            return
        # A listed row may refer to its parent's survivor; what it says is its own all the same.
        columns = self.merged.fixed(table, before) if self._said(table, mark) else list(before)
        yield from (f"{table.name} {mark}: came back with another {c}" for c in columns if before[c] != restored[c])
        for link in self._marked(table.links):
            yield from self._leads_back(table, mark, link)

    def _waits(self, table: Table, mark: str) -> Iterator[str]:
        """What cannot come back is in the archive, as it was."""
        before, archived = self.merged.before.rows[table.name][mark], self.restored.archive[table.name].get(mark)
        if archived is None:
            yield f"{table.name} {mark}: is neither back nor in the archive"
            return
        for column in self.merged.fixed(table, archived.row):
            if archived.row[column] != before[column]:
                yield f"{table.name} {mark}: waits in the archive with another {column}"

    def _marked(self, links: Iterable[Link]) -> Iterator[Link]:
        """Those to rows that can be told apart."""
        return (link for link in links if self.schema.by_name[link.parent].primary)

    def _leads_back(self, table: Table, mark: str, link: Link) -> Iterator[str]:
        """A reference leads to its own row again; a listed one may stay with that row's survivor, never with others."""
        before, _, _, restored = self._rows(table, mark)
        was, now = self.merged.before.leads_to(link, before), self.restored.leads_to(link, restored)
        # Nothing but a foreign key takes care of rows whose parent people delete.
        final = was and self.merged.final(link.parent, was)
        deleted = final in self.merged.after.rows[link.parent].keys() - self.edited.rows[link.parent].keys()
        stays = self._said(table, mark) and was is not None and now == final
        stays |= bool(now) and self._said(table, mark) and self.schema.is_led_along(table, link)
        if was != now and not stays and not (link.may_dangle and was == DANGLING) and not (link.declared and deleted):
            yield f"{table.name} {mark}: {link.columns} leads to {now} instead of {was}"

    def _unsaid(self, table: Table, mark: str) -> Iterator[str]:
        """A change of the merge that people undid or overwrote is listed."""
        before, after, edited, _ = self._rows(table, mark)
        moved = [c for c in before if before[c] != after[c] and not self._computed(table, c)]
        moved = [c for c in moved if not (table.stamped and c == "updated_at")]
        overwritten = not edited or any(edited[c] not in (after[c], before[c]) for c in moved)
        if moved and overwritten and not self._said(table, mark):
            yield f"{table.name} {mark}: what was done to it is not undone, and that is not listed"

    def _unmarked(self, table: Table) -> Iterator[str]:
        """Rows that cannot be told apart: untouched they are as they were, if nothing is said of the table."""
        before, after, edited, restored = (sorted(map(repr, image.rows[table.name].values())) for image in self._images)
        said = any(line.startswith(f"public.{table.name} (") for line in self.kept)
        if after == edited and before != restored and not said:
            yield f"{table.name}: rows without a key are not as they were"

    @staticmethod
    def _changed(link: Link, one: Row, other: Row) -> bool:
        return any(one[column] != other[column] for column in link.columns)

    @staticmethod
    def _computed(table: Table, column: str) -> bool:
        return column != MARK and table.by_name[column].generated

    # What the report lists

    def _said(self, table: Table, mark: str) -> bool:
        """Whether a line names the row, by a primary key that it had at some time: when it was archived, perhaps."""
        archived = [image.archive[table.name].get(mark) for image in self._images]
        rows = [row for row in self._rows(table, mark) if row] + [one.row for one in archived if one]
        keys = (", ".join(f"{column}={row[column]}" for column in table.primary) for row in rows)
        starts = tuple(f"public.{table.name} ({key}):" for key in keys)
        return any(line.startswith(starts) for line in self.kept)

    def _unfounded(self) -> Iterator[str]:
        """Only what hangs together with an edit is kept."""
        if not self.kept:
            return
        reached = self._reached
        for table in (table for table in self.schema.tables if table.primary):
            for mark in self.merged.before.rows[table.name]:
                if (table.name, mark) not in reached and self._said(table, mark):
                    yield f"{table.name} {mark}: is kept, and no edit is near it"

    @cached_property
    def _reached(self) -> set[Place]:
        """Everything that references or merges tie to a row that people touched."""
        beside = self._ties
        reached, new = set[Place](), set(self.touched)
        while new:
            reached |= new
            new = {other for place in new for other in beside.get(place, ())} - reached
        return reached

    @cached_property
    def touched(self) -> frozenset[Place]:
        """Rows that people inserted, changed or deleted."""
        return frozenset(
            (name, mark)
            for name in self.schema.by_name
            for mark in {*self.merged.after.rows[name], *self.edited.rows[name]}
            if self.merged.after.rows[name].get(mark) != self.edited.rows[name].get(mark)
        )

    @property
    def _ties(self) -> Mapping[Place, set[Place]]:
        ties: dict[Place, set[Place]] = {}
        for one, other in self._pairs():
            ties.setdefault(one, set()).add(other)
            ties.setdefault(other, set()).add(one)
        return ties

    def _pairs(self) -> Iterator[tuple[Place, Place]]:
        for table in self.schema.tables:
            archive = self.merged.after.archive[table.name]
            for mark in archive:
                yield (table.name, mark), (table.name, str(self.merged.final(table.name, mark)))
            # A value that people took may be one that an archived row needs.
            for name, mark in self.touched:
                yield from (((name, mark), (name, other)) for other in archive if name == table.name)
            for image in self._images[:3]:
                yield from self._links(table, image)

    @staticmethod
    def _links(table: Table, image: Image) -> Iterator[tuple[Place, Place]]:
        for mark, row in image.rows[table.name].items():
            for link in table.links:
                led = image.leads_to(link, row)
                if led not in (None, DANGLING):
                    yield (table.name, mark), (link.parent, str(led))
