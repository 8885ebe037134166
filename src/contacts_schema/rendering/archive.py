"""The archive as a script makes it: what is there already is used, the rest is planned."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection, sql

from ..archive import Archive, Relation, run_of
from ..archive_layout import Layout, registering, registry_of, secured
from ..catalog.facts import Table
from ..compose import Fragment, ident, literal
from ..settings import Settings
from .text import SQL, Text


class PlannedArchive(Archive):
    """Reads the private schema as it is, and writes what is missing into ``text``."""

    def __init__(self, connection: Connection[Any], schema: str, text: Text) -> None:
        super().__init__(connection, schema)
        self.text, self._there = text, self.exists()
        self._number = super()._next_number() - 1 if self._there else 0

    def ensure(self) -> None:
        if not self._there:
            for statement in (*registry_of(self.schema), *secured(self.schema)):
                self._run(statement)
        self.close()
        self.text.run(SQL["create_script"].format())

    def note(self, batch: str, table: Table, settings: Settings, work: Fragment) -> None:
        """Begin a run and its one batch, by a name of the script's; nothing where the query ``work`` finds nothing."""
        parts = {"schema": ident(self.schema), "work": work, "what": literal(f"batch {batch}")}
        self.text.run(SQL["begin"].format(**parts), **run_of(table, settings))

    def note_op(self, batch: str, what: str, kind: str, relations: Fragment, work: Fragment) -> None:
        """Note an operation of a batch, by a name of the script's, under the same condition."""
        parts = {"kind": literal(kind), "relations": relations, "work": work, "what": literal(what)}
        self.text.run(SQL["begin_op"].format(schema=ident(self.schema), batch=literal(f"batch {batch}"), **parts))

    @staticmethod
    def noted(what: str) -> Fragment:
        """The number of what was noted by this name; NULL where nothing was."""
        return SQL["noted"].format(what=literal(what))

    def listed(self, relation: Relation | None) -> Fragment:
        """The numbers of an operation on one relation, which it has once the script has come this far."""
        assert relation is not None
        return SQL["relation"].format(schema=ident(self.schema), name=literal(relation.name))

    def _found(self, layout: Layout) -> tuple[int, str] | None:
        return super()._found(layout) if self._there else None

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _run(self, statement: sql.Composed) -> None:
        self.text.run(statement)

    def _register(self, noted: Mapping[str, Any]) -> int:
        """The number that the server will give is looked up by the name."""
        self.text.run(registering(self.schema), **noted)
        return 0
