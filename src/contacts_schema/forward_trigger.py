"""The trigger that leads one reference of a row which is written to the survivor. Knows nothing of what stands already."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import Connection, sql

from .archive import Archive
from .archive_layout import into
from .catalog.facts import Table
from .compose import NOTHING, Fragment, comma, every, fragment, ident, literal, plain, template
from .merge.joins import condition, refers
from .merge.statements import of
from .merge.tree import Edge
from .sql import load

_SQL = load("forward")
# Sorts before other BEFORE triggers: they are to see the id that is stored.
PREFIX = "00_contacts_schema"
FUNCTION_PREFIX = "forward"


@dataclass(frozen=True, kw_only=True)
class ForwardTrigger:
    """The trigger on one child for one reference: by the archive, a row that refers to a merged one goes to its survivor."""

    connection: Connection[Any]
    archive_schema: str
    archive: str
    prefix: str
    parent: Table
    child: Table
    edge: Edge
    path: Sequence[str]

    @cached_property
    def trigger(self) -> str:
        columns = ",".join(str(pair.child) for pair in self.edge.pairs)
        words = f"{self.child.oid}:{columns}:{self.parent.oid}:{self.edge.condition}"
        return self.prefix + hashlib.sha256(words.encode()).hexdigest()[:12]

    @cached_property
    def function(self) -> sql.Identifier:
        return ident(self.archive_schema, self.trigger.replace(PREFIX, FUNCTION_PREFIX, 1))

    @cached_property
    def digest(self) -> str:
        return f"contacts_schema {hashlib.sha256(self._body.encode()).hexdigest()[:32]}"

    def put_up(self) -> None:
        child, trigger = ident(self.child.schema, self.child.name), ident(self.trigger)
        self._run(
            "create_function",
            function=self.function,
            path=comma([*(ident(schema) for schema in self.path), ident("pg_temp")]),
            body=literal(self._body),
        )
        Archive(self.connection, self.archive_schema).close()
        self._run(
            "create_trigger",
            trigger=trigger,
            child=child,
            columns=self._columns(),
            has_reference=every(template("NEW.{} IS NOT NULL").format(self._child(p.child)) for p in self.edge.pairs),
            function=self.function,
        )
        self._run("comment_trigger", trigger=trigger, child=child, text=literal(self.digest))

    def _columns(self) -> Fragment:
        """Where a condition decides, any column may turn the row into a reference."""
        if self.edge.condition:
            return NOTHING
        return template(" OF {}").format(comma(self._child(pair.child) for pair in self.edge.pairs))

    @cached_property
    def _body(self) -> str:
        keys = self._parent_key()
        body = _SQL["body"].format(
            child_name=ident(self.child.name),
            condition=condition(self.edge),
            parent=ident(self.parent.schema, self.parent.name),
            archive=ident(self.archive_schema, self.archive),
            same_parent=self._same("parent"),
            same_archived=self._same("archived"),
            into=comma(template("archived.{}").format(into(n)) for n, _ in keys),
            chained=every(self._key_is("archived", n, op) for n, op in keys),
            survivor_key=every(self._key_is("parent", n, op) for n, op in keys),
            referenced=comma(template("parent.{}").format(self._parent(pair.parent)) for pair in self.edge.pairs),
            assign=sql.SQL("\n        ").join(
                template("NEW.{} := survivor.{};").format(self._child(pair.child), self._parent(pair.parent))
                for pair in self.edge.pairs
            ),
        )
        return plain(body, self.connection) + ";"

    def _same(self, alias: str) -> Fragment:
        return refers(self.edge, lambda n: of(alias, self._parent(n)), lambda n: template("NEW.{}").format(self._child(n)))

    def _key_is(self, alias: str, number: int, operator: str | None) -> Fragment:
        return template("{}.{} {} merged.{}").format(
            ident(alias), self._parent(number), fragment(operator or "="), into(number)
        )

    def _parent_key(self) -> list[tuple[int, str | None]]:
        index = self.parent.primary_index
        assert index is not None  # a table whose rows can be merged has a primary key, or is refused
        return list(zip(index.columns, index.equality, strict=True))

    def _parent(self, number: int) -> sql.Identifier:
        return ident(self.parent.by_number[number].name)

    def _child(self, number: int) -> sql.Identifier:
        return ident(self.child.by_number[number].name)

    def _run(self, statement: str, **parts: Fragment) -> None:
        self.connection.execute(_SQL[statement].format(**parts), {})
