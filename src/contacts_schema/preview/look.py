"""Looks at everything that an upgrade would look at, in a transaction that can change nothing, and counts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from ..archive import Archive
from ..catalog.read import read_facts
from ..errors import Refused
from ..guard import Guard
from ..merge.passes import Found
from ..merge.resolve import Tally
from ..merge.root import RootStatements, is_text
from ..merge.statements import SQL as MERGE
from ..merge.tree import Edge, Node
from ..merge.worker import CAP
from ..plan import Plan, make_plan
from ..preflight import blocking, refuse_at_once, unique
from ..report import Silent
from ..run import archive_elsewhere
from ..session import at_home, prepare
from ..settings import Settings
from ..survey import Survey
from ..workspace import Workspace as Tables
from . import statements
from .figures import Change, Group, Preview, Reference, Sample, Workspace
from .given import given
from .listeners import listeners
from .phones import has_no_phone
from .steps import seconds_for, steps_for
from .surroundings import surroundings

_LISTED = 10
_SAMPLES = 200
_SAMPLE_ROWS = 20


def preview(connection: Connection[Any], settings: Settings, *, samples: bool = False) -> Preview:
    """Look at one table and all that hangs on it; with ``samples`` at rows of the biggest groups too.

    ``connection`` is a psycopg connection of its own, in autocommit mode and idle. Waits for nobody but a session that
    holds ACCESS EXCLUSIVE. Whatever an upgrade would refuse is in the result; raises what the server raises.
    """
    nothing = Preview(
        table=f"{settings.schema}.{settings.table}",
        columns=settings.columns,
        constraint=settings.constraint,
        survivor_order=settings.survivor_order or "",
        fill=settings.fill,
    )
    try:
        prepare(connection, settings)
    except Refused as error:
        return replace(nothing, reasons=error.reasons)
    nothing = replace(nothing, database=connection.info.dbname, role=connection.info.user, settings=given(settings))
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # As in an upgrade, so that the settings' own SQL means the same.
        at_home(connection, settings.schema, local=True)
        connection.execute("SET LOCAL lock_timeout = '10s'")
        return _Look(connection, make_plan(read_facts(connection, settings), settings), nothing, samples).all()


class _Look:
    def __init__(self, connection: Connection[Any], plan: Plan, nothing: Preview, samples: bool) -> None:
        self.connection, self.plan, self.settings, self.sampling = connection, plan, plan.settings, samples
        self.nothing = replace(nothing, survivor_order=plan.survivor_order or nothing.survivor_order)

    def all(self) -> Preview:
        """The session's own tables are made before the transaction becomes read-only; from then on nothing can be."""
        try:
            self._refuse_other_archive()
            if not self.plan.constrained:
                refuse_at_once(self.connection, self.plan)
        except Refused as error:
            return replace(self.nothing, reasons=error.reasons, references=tuple(self._suspects()))
        if self.plan.constrained:
            return replace(self.nothing, constrained=True, rows=_estimate(self.root))
        self.tables = Tables(self.connection, self.plan, create=True)
        self.connection.execute("SET TRANSACTION READ ONLY")
        return self._counted(self._find())

    @property
    def root(self) -> Node:
        assert self.plan.tree is not None
        return self.plan.tree.root

    def _refuse_other_archive(self) -> None:
        target = self.plan.target
        other = Archive(self.connection, self.settings.private_schema).elsewhere(target) if target else None
        if other is not None:
            raise Refused([archive_elsewhere(other)])

    def _find(self) -> Found:
        self.connection.execute("SET LOCAL work_mem = '64MB'")
        self.connection.execute(self.tables.root.find_groups(), {"cap": CAP})
        self.connection.execute(MERGE["analyze_work"].format(), {})
        return Found(**self._row(MERGE["count_work"].format()), since="")

    def _counted(self, found: Found) -> Preview:
        self.survey = Survey(self.connection, self.plan, self.tables.resolver, self.tables.root)
        try:
            reasons = unique([*self.plan.reasons, *self.survey.reasons(found, always=True)])
        except Refused as error:
            reasons = list(error.reasons)
        refusing = tuple(reasons) if found.slices else tuple(blocking(reasons))
        fillable, filled = self._fillable()
        changes = tuple(_with_filled(self._changes(), self.root.table.label, filled))
        groups = int(self._row(self.tables.root.count_groups())["groups"])
        return replace(
            self.nothing,
            rows=_estimate(self.root),
            groups=groups,
            duplicates=found.duplicates,
            blank_phones=self.survey.blanks.count(),
            near=self._near(),
            biggest=tuple(Group(**{**r, "key": tuple(r["key"])}) for r in self._rows(statements.biggest_groups)),
            workspaces=tuple(Workspace(**{**r, "key": tuple(r["key"])}) for r in self._rows(statements.workspaces)),
            references=(*self._references(), *self._suspects()),
            changes=changes,
            fillable=fillable,
            listeners=tuple(listeners(self.tables.resolver.tree, changes, self.settings.private_schema)),
            steps=tuple(steps_for(self.plan, found.duplicates)),
            seconds=seconds_for(self.root.table.rows, changes),
            reasons=refusing,
            notes=tuple(self._notes()),
            samples=tuple(self._samples()) if self.sampling else (),
            looked=True,
            phoneless=frozenset(column.name for column in self.root.table.columns if has_no_phone(column)),
        )

    @cached_property
    def _tallies(self) -> dict[int, Tally]:
        return {tally.node.position: tally for tally in self.survey.tallies}

    def _edges(self) -> Iterator[tuple[Node, Edge]]:
        tree = self.tables.resolver.tree
        for node in tree.nodes:
            cycles = [edge for edge in tree.cycles if edge.child == node.table.oid]
            yield from ((node, edge) for edge in (*node.incoming, *node.own, *cycles))

    def _references(self) -> Iterator[Reference]:
        parents = self.tables.resolver.parents
        for node, edge in self._edges():
            yield Reference(
                table=node.table.label,
                columns=node.table.names(tuple(pair.child for pair in edge.pairs)),
                parent=parents[edge.parent].table.label,
                found="declared" if edge.declared else "foreign key",
                rows=_estimate(node),
                refers=self._refer(node, edge),
            )

    def _suspects(self) -> Iterator[Reference]:
        for suspect in self.plan.suspects:
            column = suspect.column
            yield Reference(
                table=f"{column.schema}.{column.name}",
                columns=column.column,
                parent=self.plan.facts.tables[suspect.parent].label,
                found="suspect",
                rows=None,
                refers=None,
            )

    def _refer(self, node: Node, edge: Edge) -> int:
        of_node = self.tables.resolver.statements[node.position]
        return int(self._row(of_node.count_referring(edge))["rows"])

    def _changes(self) -> Iterator[Change]:
        """A plain table is not worked out before its batch: each row that refers to a changed one changes."""
        for node in self.tables.resolver.tree.nodes:
            tally = self._tallies.get(node.position)
            changed = self._refer(node, node.incoming[0]) if node.plain else tally.moved if tally else 0
            merged = tally.merged if tally else 0
            if changed or merged:
                yield Change(table=node.table.label, changed=changed, merged=merged)

    def _fillable(self) -> tuple[dict[str, int], int]:
        """Groups, by column, whose survivor lacks a value, and how many `fill` will change."""
        node = self.root
        columns = [n for n in node.content if n not in self.plan.key and not node.table.by_number[n].generated]
        if not columns:
            return {}, 0
        counts = self._row(statements.fillable(self.tables.root, columns, self.plan.fill))
        filled = counts.pop(statements.FILLED)
        return {name: count for name, count in counts.items() if count}, filled

    def _samples(self) -> Iterator[Sample]:
        names = [column.name for column in self.root.table.columns]
        found = self._rows(statements.samples, limit=_SAMPLES, rows=_SAMPLE_ROWS)
        for _, group in groupby(found, key=lambda row: row["number"]):
            listed = list(group)
            rows = tuple(dict(zip(names, row["values"], strict=True)) for row in listed)
            yield Sample(rows=rows, more=listed[0]["duplicates"] + 1 - len(rows))

    def _near(self) -> int | None:
        phone = self.root.table.by_number[self.plan.key[-1]]
        return int(self._row(statements.near(self.tables.root))["groups"]) if is_text(phone) else None

    def _notes(self) -> Iterator[str]:
        guard = Guard(
            connection=self.connection,
            settings=self.settings,
            table=self.root.table,
            key=self.plan.key,
            progress=Silent(),
        )
        if guard.is_there():
            yield "an upgrade has begun here: `alembic upgrade head` goes on, `contacts-schema restore` takes it back"
        if self.root.table.rows < 0:
            yield f"{self.root.table.label} was never analysed; ANALYZE makes the figures that are estimates better"
        yield from surroundings(self.connection, self.settings.schema)

    def _rows(self, composed: Callable[[RootStatements], sql.Composed], **values: int) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(composed(self.tables.root), {"limit": _LISTED, **values}).fetchall()

    def _row(self, statement: sql.Composed) -> dict[str, Any]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement, {}).fetchone()
        assert row is not None
        return row


def _with_filled(changes: Iterable[Change], label: str, filled: int) -> Iterator[Change]:
    """Survivors that `fill` changes count as changed; the contacts come first wherever there is anything to do."""
    for change in changes:
        yield replace(change, changed=change.changed + filled) if change.table == label else change


def _estimate(node: Node) -> int | None:
    return int(node.table.rows) if node.table.rows >= 0 else None
