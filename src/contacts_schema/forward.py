"""Leads writers who hold the id of a contact that was merged a moment ago to its survivor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from psycopg import Connection, errors
from psycopg.rows import dict_row

from .archive import Archive
from .catalog.facts import Table
from .compose import ident
from .ddl import Named, change_table
from .errors import TableReplaced
from .forward_trigger import FUNCTION_PREFIX, PREFIX, ForwardTrigger
from .merge.tree import Tree
from .query import scalars
from .report import Progress
from .retry import patiently
from .settings import Settings
from .sql import load

_SQL = load("forward")
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

    def fits(self, wanted: Mapping[str, ForwardTrigger]) -> bool:
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
        return f"{PREFIX}_{self.target.oid}_"

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
        values = {"prefix": self.prefix.replace(PREFIX, FUNCTION_PREFIX, 1), "private": self.settings.private_schema}
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

    def _wanted(self, tree: Tree) -> list[ForwardTrigger]:
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
                    ForwardTrigger(
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
        return ("pg_catalog", *scalars(self.connection, "SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))"))
