"""The upgrade as a script without a look at the database: the plain case, which stops where it meets another one."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from psycopg import sql

from ..archive_layout import closing_of, registry_of, secured
from ..catalog.read import look_alikes_query
from ..compose import ident, literal, literals, some
from ..errors import OfflineUnavailable
from ..plan import CREATED, SOFT_DELETED, SOFT_DELETED_FLAG
from ..settings import Settings
from ..sql import load
from .constraint import add_constraint
from .opening import named_after
from .text import SQL, Text, embedded

_SQL = load("plain")


class PlainScript:
    """The upgrade of one table of which nothing is known but the settings. Raises OfflineUnavailable."""

    def __init__(self, settings: Settings) -> None:
        beyond = sorted(_beyond(settings))
        if beyond:
            raise OfflineUnavailable(
                f"without DATABASE_URL a script cannot be rendered for {', '.join(beyond)}: set it, so that the tables "
                "can be looked at"
            )
        self.settings = settings

    def merge(self) -> str:
        """Checks, locks and the merge."""
        text, private = Text("merge", self.settings), self.settings.private_schema
        text.run(SQL["session"].format(schema=ident(self.settings.schema)))
        text.block(_SQL["lock"], tables=literals(self._tables()))
        text.block(
            _SQL["refuse"],
            **self._names,
            columns=literals(self.settings.columns),
            ignored=literals(self._named(*column) for column in self.settings.ignore_references),
            constraint=literal(self.settings.constraint),
            look_alikes=embedded(look_alikes_query(), private_schema=private),
            named=some(named_after(self.settings.table)),
        )
        for statement in (*registry_of(private), *secured(private)):
            text.run(statement)
        text.block(
            _SQL["merge"],
            **self._names,
            home=ident(private),
            workspace=literal(self.settings.columns[0]),
            settings=literal(json.dumps(asdict(self.settings), default=str)),
            survivor_order=literal(self.settings.survivor_order) if self.settings.survivor_order else sql.SQL("NULL"),
            soft_deleted=literals(SOFT_DELETED),
            flags=literals(SOFT_DELETED_FLAG),
            created=literals(CREATED),
        )
        text.run(closing_of(private))
        return text.end()

    def constrain(self) -> str:
        """The constraint, where no duplicate is left."""
        text = Text("constraint", self.settings)
        add_constraint(text, self.settings, self.settings.columns)
        return text.end()

    @property
    def _names(self) -> dict[str, sql.Composable]:
        return {
            "schema": literal(self.settings.schema),
            "table": literal(self.settings.table),
            "phone": literal(self.settings.phone_column),
            "known": literals(self._named(r.schema, r.table, r.column) for r in self.settings.references),
            "private_schema": literal(self.settings.private_schema),
        }

    def _tables(self) -> list[str]:
        tables = [(self.settings.schema, self.settings.table), *((r.schema, r.table) for r in self.settings.references)]
        return [self._named(*table) for table in tables]

    def _named(self, schema: str | None, *names: str) -> str:
        """A name that no other is taken for, as the server's to_json writes it."""
        return json.dumps((schema or self.settings.schema, *names), ensure_ascii=False, separators=(",", ":"))


def _beyond(settings: Settings) -> Iterator[str]:
    """Settings that want a look at the tables."""
    if len(settings.columns) != 2:
        yield "a key of other than two columns"
    if settings.fill:
        yield "fill"
    if settings.blank_phones == "null":
        yield "blank_phones = null"
    if settings.collisions:
        yield "collisions"
    if any(reference.condition or reference.target_table for reference in settings.references):
        yield "references with a condition or a target"
