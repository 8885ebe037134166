"""What the private schema holds, beside the tables it came from: the sources to restore, and its own statements."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from ..archive import Archive
from ..catalog.facts import ForeignKey, Table
from ..catalog.read import existing, find_table, read_foreign_keys, read_tables
from ..compose import Fragment, ident
from ..merge.tree import Edge
from ..query import scalars
from ..references import edge_of
from .sources import SQL, Source


class Store:
    """Runs the restore's statements in one private schema; ``left`` are sources of which something is not undone.

    ``declared`` are the references that have no foreign key.
    """

    def __init__(self, connection: Connection[Any], schema: str, declared: Sequence[Edge] = ()) -> None:
        self.connection, self.schema, self._declared = connection, schema, declared
        self.left: dict[int, Source] = {}
        self._texts: dict[Hashable, bytes] = {}

    def left_of(self, source: Source) -> list[Source]:
        """Where something of the same table is left that was done later: a run under other settings has its own."""
        return self.of_table(source, self.left.values())

    @staticmethod
    def of_table(source: Source, others: Iterable[Source]) -> list[Source]:
        """Those of the same table."""
        return [other for other in others if other.table == source.table]

    def left_below(self, source: Source) -> list[tuple[ForeignKey, Source]]:
        """Where something is left of a table that refers to this one, and how it refers."""
        return self.below(source, self.left.values())

    def below(self, source: Source, others: Iterable[Source]) -> list[tuple[ForeignKey, Source]]:
        """Those of tables that refer to this one, and how they refer."""
        if source.table is None:
            return []
        return [
            (key, other)
            for other in others
            for key in self._foreign_keys
            if other.table is not None and (key.table, key.parent) == (other.table.oid, source.table.oid)
        ]

    def left_above(self, source: Source) -> list[tuple[Edge, Source]]:
        """Where something may be left of a table that this one refers to, by another table's merge too, and how."""
        archives = [s for s in self.sources.values() if s.kind == "archive" and s.id not in self.left]
        # By the source's primary key alone archives are indexed always, and this is asked for every batch.
        found = [(e, s) for e, s in self.above(source, archives) if s.table and e.holds(s.table.primary_key)]
        return [*found, *self.above(source, self.left.values())]

    def above(self, source: Source, others: Iterable[Source]) -> list[tuple[Edge, Source]]:
        """Those of tables that this one refers to, and how it refers."""
        if source.table is None:
            return []
        edges = [*(edge_of(key) for key in self._foreign_keys), *self._declared]
        return [
            (edge, other)
            for other in others
            for edge in edges
            if other.table is not None and (edge.child, edge.parent) == (source.table.oid, other.table.oid)
        ]

    @cached_property
    def _foreign_keys(self) -> tuple[ForeignKey, ...]:
        oids = {source.table.oid for source in self.sources.values() if source.table is not None}
        return read_foreign_keys(self.connection, sorted(oids))

    @cached_property
    def sources(self) -> Mapping[int, Source]:
        """Every archive and journal table, beside its source as that is today."""
        rows = self.rows(self.composed("relations"), {"schema": self.schema})
        kept = read_tables(self.connection, [row["oid"] for row in rows])
        there = existing(self.connection, [row["source"] for row in rows])
        found = {row["id"]: self._source_oid(row, there) for row in rows}
        tables = read_tables(self.connection, [oid for oid in found.values() if oid])
        return {row["id"]: self._source(row, kept[row["oid"]], tables.get(found[row["id"]] or 0)) for row in rows}

    def exists(self) -> bool:
        """There is something to look into."""
        return Archive(self.connection, self.schema).exists()

    def still_there(self) -> list[Source]:
        """Those that no other restore has dropped since."""
        ids = {row["id"] for row in self.rows(self.composed("relations"), {"schema": self.schema})}
        return [source for source in self.sources.values() if source.id in ids]

    def _source_oid(self, row: Mapping[str, Any], there: Collection[int]) -> int | None:
        """By oid; by name where the table was dropped and made again, as a dump and restore does."""
        if row["source"] in there:
            return int(row["source"])
        return find_table(self.connection, row["source_schema"], row["source_name"])

    def _source(self, row: Mapping[str, Any], kept: Table, table: Table | None) -> Source:
        names = dict(zip(row["numbers"], row["names"], strict=True))
        names |= dict(zip(row["keys"], row["key_names"], strict=True))
        same = table is not None and table.oid == row["source"]
        columns = {
            number: column
            for number, name in names.items()
            if table is not None and (column := table.by_number.get(number) if same else table.by_name.get(name)) is not None
        }
        return Source(
            id=row["id"],
            kind=row["kind"],
            schema=self.schema,
            kept=kept,
            table=table,
            label=f"{row['source_schema']}.{row['source_name']}",
            columns=columns,
            names=names,
            numbers=tuple(row["numbers"]),
            keys=tuple(row["keys"]),
            moving=tuple(row["moving"]),
        )

    def execute(self, statement: str, **values: Any) -> None:
        """Run a statement by its name; fragments among the values are put into its text."""
        self.connection.execute(*self._split(statement, values))

    def column(self, statement: str, **values: Any) -> list[Any]:
        """The first column of each row that a statement gives."""
        return self.values(*self._split(statement, values))

    def named_rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """The rows that a statement gives, by its name."""
        return self.rows(*self._split(statement, values))

    def values(self, statement: sql.Composed | bytes, values: Mapping[str, Any]) -> list[Any]:
        """The first column of each row of a statement that is composed already."""
        return scalars(self.connection, statement, values)

    def rows(self, statement: sql.Composed | bytes, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a statement that is composed already."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchall()

    def text(self, what: str, source: Source, compose: Callable[[], sql.Composed]) -> bytes:
        """A statement about one source as it is sent, composed once: every batch asks for it, and it may be long.

        For as long as no more is left than there was: what it looks into grows with that.
        """
        known = (what, source.id, len(self.left))
        if known not in self._texts:
            self._texts[known] = compose().as_bytes(self.connection)
        return self._texts[known]

    def _split(self, statement: str, values: dict[str, Any]) -> tuple[sql.Composed, dict[str, Any]]:
        parts = {name: value for name, value in values.items() if isinstance(value, sql.Composable)}
        rest = {name: value for name, value in values.items() if name not in parts}
        return self.composed(statement, **parts), rest

    def composed(self, statement: str, **parts: Fragment) -> sql.Composed:
        """A statement by its name, composed."""
        return SQL[statement].format(schema=ident(self.schema), **parts)
