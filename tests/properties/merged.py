"""What must be true after an upgrade, worked out from what was there before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from tests.properties.images import DANGLING, Image
from tests.properties.model import MARK, Row, Schema, Table

__all__ = ["Merged"]

Known: TypeAlias = Callable[[str, str | None], str | None]


@dataclass(frozen=True)
class Merged:
    """An upgrade, by the images `before` and `after` it."""

    schema: Schema
    before: Image
    after: Image

    def problems(self) -> Iterator[str]:
        """What is not as it must be, one line each."""
        yield from self._duplicates()
        yield from self._settled()
        yield from self.after.dangling()
        for table in self.schema.tables:
            if table.primary:
                yield from self._presence(table)
                yield from self._keepers(table)
                yield from self._references(table)
                yield from self._contents(table)
            else:
                yield from self._unmarked(table)

    def final(self, table: str, mark: str) -> str | None:
        """The mark of the row that a row of before is now, or has gone into."""
        seen = {mark}
        while mark in self.after.archive[table]:
            found = self._keeper(table, mark)
            if found is None or found in seen:
                return None
            seen.add(mark := found)
        return mark

    def key_of(self, row: Row) -> tuple[str, str] | None:
        """What makes a contact a duplicate of others."""
        workspace, phone = row["workspace_id"], row["phone"]
        return None if workspace is None or phone is None or not phone.strip() else (workspace, phone)

    @cached_property
    def groups(self) -> Mapping[tuple[str, str], list[str]]:
        """Contacts of before by their key, those of one row included."""
        found: dict[tuple[str, str], list[str]] = {}
        for mark, row in self.before.rows["contacts"].items():
            if key := self.key_of(row):
                found.setdefault(key, []).append(mark)
        return found

    def _keeper(self, table: str, mark: str) -> str | None:
        primary, into = self.schema.by_name[table].primary, self.after.archive[table][mark].into
        removed = {tuple(a.row[c] for c in primary): m for m, a in self.after.archive[table].items()}
        now = self._moved_on(table, primary, into)
        return self.after.find(table, primary, into) or removed.get(into) or self.after.find(table, primary, now)

    def _moved_on(self, table: str, primary: tuple[str, ...], key: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """What became of a key when a later batch merged the contacts that it holds."""
        held = dict(zip(primary, key, strict=True))
        for link in self.schema.by_name[table].links:
            if link.parent == "contacts" and set(link.columns) <= set(primary):
                was = self.before.find("contacts", link.parent_columns, tuple(held[column] for column in link.columns))
                now = was and self.after.rows["contacts"].get(self.final("contacts", was) or "")
                held |= link.to(now) if now else {}
        return tuple(held[column] for column in primary)

    def _duplicates(self) -> Iterator[str]:
        """Of each group one row is there, and the others went into it."""
        here = self.after.rows["contacts"]
        for marks in self.groups.values():
            kept = [mark for mark in marks if mark in here]
            if len(kept) != 1:
                yield f"contacts {marks}: {kept} are there"
            elif any(self.final("contacts", mark) != kept[0] for mark in marks):
                yield f"contacts {marks}: did not all go into {kept[0]}"
        grouped = {mark for marks in self.groups.values() for mark in marks}
        yield from (
            f"contacts {m}: nobody's duplicate is gone" for m in self.before.rows["contacts"].keys() - here - grouped
        )

    def _presence(self, table: Table) -> Iterator[str]:
        """Each row of before is there, or in the archive as it was."""
        before, after = self.before.rows[table.name], self.after.rows[table.name]
        archive = self.after.archive[table.name]
        yield from (f"{table.name} {mark}: is new" for mark in after.keys() - before.keys())
        yield from (f"{table.name} {mark}: is lost" for mark in before.keys() - after.keys() - archive.keys())
        yield from (f"{table.name} {mark}: is there and archived" for mark in after.keys() & archive.keys())
        for mark in archive.keys() & before.keys():
            for column in self.fixed(table, archive[mark].row):
                if archive[mark].row[column] != before[mark][column]:
                    yield f"{table.name} {mark}: was archived with another {column}"

    def _keepers(self, table: Table) -> Iterator[str]:
        """Only rows that a unique key would hold to be equal are merged, into a row that is there."""
        gone = self.after.archive[table.name].keys()
        if table is not self.schema.contacts and gone and not table.colliding:
            yield f"{table.name}: {sorted(gone)} are archived, and no key can collide"
        for mark in gone:
            final = self.final(table.name, mark)
            if final not in self.after.rows[table.name]:
                yield f"{table.name} {mark}: went into a row that is not there"
            elif table is not self.schema.contacts and len(table.colliding) == 1:
                yield from self._equal(table, mark, final)

    def _equal(self, table: Table, mark: str, final: str | None) -> Iterator[str]:
        """Where one key alone can collide, its columns agree once references are followed."""
        assert final is not None
        one, other = self.before.rows[table.name][mark], self.before.rows[table.name][final]
        (key,) = table.colliding
        if not (key.covers(one) and key.covers(other)):
            yield f"{table.name} {mark}: went into {final}, and the key does not cover both"
        plain = [column for column in key.columns if not table.by_name[column].generated]
        for column in (column for column in plain if column not in table.linked):
            if one[column] != other[column]:
                yield f"{table.name} {mark}: went into {final}, which differs in {column}"
        for link in (link for link in table.links if set(link.columns) <= set(plain)):
            if self._led(link.parent, self.before.leads_to(link, one)) != self._led(
                link.parent, self.before.leads_to(link, other)
            ):
                yield f"{table.name} {mark}: went into {final}, whose {link.columns} leads elsewhere"

    def _led(self, table: str, mark: str | None) -> str | None:
        """What the row is known by now that took the place of one of before."""
        if mark is None or self.schema.by_name[table].primary or mark == DANGLING:
            return mark and self.final(table, mark)
        return self._described(self.before, table, mark, self._led)

    def _known(self, table: str, mark: str | None) -> str | None:
        """What a row of after is known by: by its mark, or by all it says where it has none."""
        if mark is None or self.schema.by_name[table].primary or mark == DANGLING:
            return mark
        return self._described(self.after, table, mark, self._known)

    def _described(self, image: Image, name: str, mark: str, known: Known) -> str:
        table, row = self.schema.by_name[name], image.rows[name][mark]
        others = self.fixed(table, [column.name for column in table.columns])
        links = (link for link in table.links if link.parent != name and not self.schema.is_led_along(table, link))
        return repr([*(row[other] for other in others), *(known(link.parent, image.leads_to(link, row)) for link in links)])

    def _references(self, table: Table) -> Iterator[str]:
        """Every reference leads to the row that took the place of the one it led to."""
        for mark, row in self.after.rows[table.name].items():
            for link in table.links if mark in self.before.rows[table.name] else ():
                led = self._led(link.parent, self.before.leads_to(link, self.before.rows[table.name][mark]))
                found = self._known(link.parent, self.after.leads_to(link, row))
                if found != led and not (found and self.schema.is_led_along(table, link)):
                    yield f"{table.name} {mark}: {link.columns} leads to {found} instead of {led}"

    def _contents(self, table: Table) -> Iterator[str]:
        """Everything else of a row that is there is as it was."""
        for mark, row in self.after.rows[table.name].items():
            was = self.before.rows[table.name].get(mark, row)
            for column in (name for name in row if name != MARK and row[name] != was[name]):
                if not self._may_change(table, mark, column):
                    yield f"{table.name} {mark}: {column} has changed"

    def _may_change(self, table: Table, mark: str, column: str) -> bool:
        if table is self.schema.contacts and column in self.schema.settings["fill"]:
            return self._filled(mark, column)
        blank = table is self.schema.contacts and column == "phone" and self._was_blank(mark)
        stamped = table.stamped and column == "updated_at"
        return blank or stamped or column in table.linked or table.by_name[column].generated

    def _was_blank(self, mark: str) -> bool:
        phone = self.before.rows["contacts"][mark]["phone"]
        return phone is not None and not phone.strip()

    def _settled(self) -> Iterator[str]:
        """What the settings ask for is done: blanks are NULL, what a survivor lacks is filled, the order decides."""
        here = self.after.rows["contacts"]
        yield from (f"contacts {m}: is still blank" for m in here if self._was_blank(m) and here[m]["phone"] is not None)
        for marks in self.groups.values():
            for kept in (mark for mark in marks if mark in here):
                rows = [self.before.rows["contacts"][mark] for mark in marks]
                for column in self.schema.settings["fill"]:
                    if here[kept][column] is None and any(row[column] is not None for row in rows):
                        yield f"contacts {kept}: {column} is not filled"
                if self.schema.settings["survivor_order"] == "mark DESC" and kept != max(marks, key=int):
                    yield f"contacts {marks}: {kept} stays, against the order"

    def _filled(self, mark: str, column: str) -> bool:
        """A survivor that lacked it has what one of its duplicates had."""
        was = self.before.rows["contacts"][mark]
        group = self.groups.get(self.key_of(was) or ("", ""), [])
        offered = {self.before.rows["contacts"][other][column] for other in group}
        return was[column] is None and self.after.rows["contacts"][mark][column] in offered

    def _unmarked(self, table: Table) -> Iterator[str]:
        """Rows without a primary key are never merged; they say the same and lead to the survivors."""
        was = sorted(self._described(self.before, table.name, mark, self._led) for mark in self.before.rows[table.name])
        now = sorted(self._described(self.after, table.name, mark, self._known) for mark in self.after.rows[table.name])
        if was != now:
            yield f"{table.name}: rows without a key differ"

    @staticmethod
    def fixed(table: Table, columns: Iterable[str]) -> list[str]:
        """Those that no move of references changes, be it through a trigger."""
        moving = {*table.linked, *(column.name for column in table.columns if column.generated)}
        return [column for column in columns if column not in moving and not (table.stamped and column == "updated_at")]
