"""Leads writers who hold the id of a contact that was merged a moment ago to its survivor."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from psycopg import Connection, errors, sql
from psycopg.rows import dict_row, scalar_row

from .archive import Archive, into
from .catalog.facts import Table
from .compose import NOTHING, TRUE, Fragment, comma, every, fragment, ident, literal, plain, template
from .ddl import Named, change_table
from .errors import TableReplaced
from .merge.tree import Edge, Tree
from .report import Progress
from .retry import patiently
from .settings import Settings
from .sql import load

_SQL = load("forward")
# Sorts before other BEFORE triggers: they are to see the id that is stored.
_PREFIX = "00_contacts_schema"
_FUNCTION_PREFIX = "forward"
_LOOKS = 10


class Child(NamedTuple):
    """A referring table."""

    oid: int
    schema: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One forwarding function that is there, and its trigger, which is gone where the referring table was dropped."""

    function: str
    oid: int | None
    schema: str
    name: str
    trigger: str
    enabled: str
    made_from: str | None

    def fits(self, wanted: Mapping[str, "_Forward"]) -> bool:
        """It does what one of those would do that are wanted, by their triggers' names."""
        forward = wanted.get(self.trigger)
        return forward is not None and (self.made_from, self.enabled) == (forward.digest, "O")


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """The forwarding triggers of one target: on every table that refers to rows which can be merged."""

    connection: Connection[Any]
    settings: Settings
    target: Table
    progress: Progress

    @property
    def prefix(self) -> str:
        return f"{_PREFIX}_{self.target.oid}_"

    def ensure(self, tree: Tree) -> None:
        """Put up what is missing and take down what no longer fits, a table at a time."""
        wanted = {forward.trigger: forward for forward in self._wanted(tree)}
        self._take_down(lambda there: not there.fits(wanted))
        kept = {there.trigger for there in self.standing()}
        for name, forward in wanted.items():
            if name not in kept:
                self._change(forward.child, forward.put_up)

    def remove(self) -> None:
        """Take all of them down; nothing where there are none."""
        self._take_down(lambda _: True)

    def standing(self) -> list[Standing]:
        values = {"prefix": self.prefix.replace(_PREFIX, _FUNCTION_PREFIX, 1), "private": self.settings.private_schema}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return [Standing(**row) for row in cursor.execute(_SQL["standing"].format(), values).fetchall()]

    def _take_down(self, which: Callable[[Standing], bool]) -> None:
        for attempt in patiently(_LOOKS):
            try:
                for there in filter(which, self.standing()):
                    self._take_one_down(there)
            except (TableReplaced, errors.UndefinedTable, errors.InvalidSchemaName):
                # The table was dropped or renamed since: the next look tells what is left, and where.
                if attempt == _LOOKS:
                    raise
            else:
                return

    def _take_one_down(self, there: Standing) -> None:
        if there.oid is None:
            self._drop_function(there)
        else:
            self._change(Child(there.oid, there.schema, there.name), partial(self._drop, there))

    def _drop(self, there: Standing) -> None:
        parts = {"trigger": ident(there.trigger), "child": ident(there.schema, there.name)}
        self.connection.execute(_SQL["drop_trigger"].format(**parts), {})
        self._drop_function(there)

    def _drop_function(self, there: Standing) -> None:
        function = ident(self.settings.private_schema, there.function)
        self.connection.execute(_SQL["drop_function"].format(function=function), {})

    def _change(self, table: Named, action: Callable[[], None]) -> None:
        change_table(self.connection, self.settings, self.progress, table, action)

    def _wanted(self, tree: Tree) -> list["_Forward"]:
        """One for each reference to a table whose rows can be merged, where we may put a trigger and drop it again."""
        archive = Archive(self.connection, self.settings.private_schema)
        found = []
        for node in tree.nodes:
            for edge in (*node.outgoing, *node.own) if node.merges and node.table.primary_key else ():
                child = tree.by_table[edge.child].table
                if not child.owned:
                    self.progress.note(f"{child.label} is not ours: an insert for a merged row gets 23503 there")
                    continue
                found.append(
                    _Forward(
                        connection=self.connection,
                        archive_schema=archive.schema,
                        archive=archive.archive_of(node.table, node.changed).name,
                        prefix=self.prefix,
                        parent=node.table,
                        child=child,
                        edge=edge,
                        path=self._path if edge.condition else ("pg_catalog",),
                    )
                )
        return found

    @cached_property
    def _path(self) -> Sequence[str]:
        """A condition of the user's means what it means in this session; built-in names win all the same."""
        with self.connection.cursor(row_factory=scalar_row) as cursor:
            schemas = cursor.execute("SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))", {}).fetchall()
        return ("pg_catalog", *schemas)


@dataclass(frozen=True, kw_only=True)
class _Forward:
    """The trigger on one child for one reference."""

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
        return ident(self.archive_schema, self.trigger.replace(_PREFIX, _FUNCTION_PREFIX, 1))

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
            condition=template("({})").format(fragment(self.edge.condition)) if self.edge.condition else TRUE,
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
        conditions = []
        for pair in self.edge.pairs:
            column = template("{}.{}").format(ident(alias), self._parent(pair.parent))
            value = template("CAST({} AS {})").format(column, fragment(pair.cast)) if pair.cast else column
            conditions.append(template("{} {} NEW.{}").format(value, fragment(pair.equality), self._child(pair.child)))
        return every(conditions)

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
