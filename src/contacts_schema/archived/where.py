"""Where a contact went: from merge to merge to the one of today."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from psycopg import Connection, sql

from ..archive import Archive
from ..archive_layout import into
from ..catalog.read import find_table, read_facts, read_tables
from ..compose import ident, some, template
from ..errors import Reason, Refused, without_phones
from ..merge.statements import of, source
from ..plan import make_plan
from ..preview.figures import masked
from ..preview.phones import has_no_phone
from ..restore.sources import Source
from ..restore.store import Store
from ..run import archive_elsewhere
from ..settings import Settings
from ..sql import load

_SQL = load("archived")


@dataclass(frozen=True, kw_only=True)
class Merge:
    """One merge that a contact went through: into which other, when, and where it is kept.

    `held` are its columns as they were; `followed` counts, by table, the rows that were changed or merged with it
    because they referred to it. `phone` is the column of `held` that is the phone, `phoneless` are those of types that can
    hold none.
    """

    contact: str
    into: str
    at: str
    archive: str
    held: Mapping[str, Any]
    followed: Mapping[str, int] = field(default_factory=dict)
    phone: str | None = None
    phoneless: frozenset[str] = frozenset()

    def masked(self) -> "Merge":
        """The same without the phone number, and without whatever else looks like one."""
        return replace(self, held={name: self._masked(name, value) for name, value in self.held.items()})

    def _masked(self, name: str, value: Any) -> Any:
        if value is None or name in self.phoneless:
            return value
        if name == self.phone:
            return masked(str(value))
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return value if without_phones(text) == text else without_phones(text)


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """What is known of a contact. `today` is the id to use now, None where it is neither there nor archived."""

    contact: str
    today: str | None
    merges: tuple[Merge, ...] = ()

    def masked(self) -> "Whereabouts":
        """The same without phone numbers."""
        return replace(self, merges=tuple(merge.masked() for merge in self.merges))

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        found = asdict(self)
        for merge in found["merges"]:
            del merge["phone"], merge["phoneless"]
        return found


def where(connection: Connection[Any], settings: Settings, contact: str) -> Whereabouts:
    """Follow one contact by its id as text. Reads only.

    Raises Refused where the table is not there or its primary key is not one column.
    """
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        search = _Search(connection, settings)
        merges = tuple(search.merges(contact))
        last = merges[-1].into if merges else contact
        return Whereabouts(contact=contact, today=last if search.is_there(last) else None, merges=merges)


class _Search:
    def __init__(self, connection: Connection[Any], settings: Settings) -> None:
        found = find_table(connection, settings.schema, settings.table)
        if found is None:
            raise Refused(make_plan(read_facts(connection, settings), settings).reasons)
        self.table = read_tables(connection, [found])[found]
        if len(self.table.primary_key) != 1:
            raise Refused([_several(self.table.label)])
        other = Archive(connection, settings.private_schema).elsewhere(self.table)
        if other is not None:
            raise Refused([archive_elsewhere(other)])
        self.store, self.private = Store(connection, settings.private_schema), settings.private_schema
        self.phone = settings.phone_column
        self.known = Archive(connection, settings.private_schema).exists()

    def is_there(self, contact: str) -> bool:
        name = ident(self.table.by_number[self.table.primary_key[0]].name)
        statement = _SQL["is_there"].format(table=ident(self.table.schema, self.table.name), key=name)
        return bool(self.store.values(statement, {"id": contact})[0])

    def merges(self, contact: str) -> Iterator[Merge]:
        """One after the other; each is looked for among the archived ones that the one before went into."""
        seen: set[str] = set()
        while contact not in seen and (merge := self._merge(contact)):
            yield merge
            seen.add(contact)
            contact = merge.into

    def _merge(self, contact: str) -> Merge | None:
        if not self.known or self.is_there(contact):
            return None
        for archive in self.store.sources.values():
            if archive.kind == "archive" and archive.table and archive.table.oid == self.table.oid:
                for row in self.store.rows(self._archived(archive), {"id": contact}):
                    return Merge(
                        contact=contact,
                        into=row["went"],
                        at=row["at"],
                        archive=f"{self.private}.{archive.kept.name}",
                        held={name: value for name, value in row["held"].items() if not name.startswith("~")},
                        followed=dict(self._followed(row)),
                        phone=self._phone(archive),
                        phoneless=frozenset(
                            [column.name for column in archive.kept.columns if has_no_phone(column)]
                            + [archive.names[number] for number in archive.keys]
                        ),
                    )
        return None

    def _phone(self, archive: Source) -> str | None:
        """What the archive calls the column: it may have been renamed since."""
        column = self.table.by_name.get(self.phone)
        return archive.names.get(column.number) if column and archive.table else None

    def _archived(self, archive: Source) -> sql.Composed:
        (number,) = archive.keys
        return _SQL["archived_row"].format(
            into=into(number),
            key=ident(archive.names[number]),
            archive=archive.relation,
            schema=ident(self.private),
        )

    def _followed(self, row: Mapping[str, Any]) -> Counter[str]:
        """A reference knows the row that it was moved away from by its number in the batch."""
        counts = Counter[str]()
        for other in self.store.sources.values():
            if not other.moving:
                continue
            moved = some(template("{} = %(row)s").format(of("j", source(number))) for number in other.moving)
            statement = _SQL["followers"].format(relation=other.relation, schema=ident(self.private), **{"from": moved})
            counts[other.label] += self.store.values(statement, {"batch": row["batch"], "row": row["row"]})[0]
        return +counts


def _several(label: str) -> Reason:
    return Reason(
        problem=f'the primary key of "{label}" is not one column',
        way_on="look into its archive, as docs/how-it-works.md shows",
        code="composite_key",
    )
