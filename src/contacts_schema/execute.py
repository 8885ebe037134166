"""Runs a plan: the four things that are done to a database, each from whatever state it finds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, Rollback

from .archive import Archive
from .blanks import Blanks
from .catalog.facts import Table
from .catalog.read import fingerprint, read_facts
from .compose import ident, template
from .constraint import Constraint, State
from .errors import Interrupted, Reason, Refused, StatementFailed
from .expressions import faulty_expressions, unblankable, unfillable
from .forward import Forwarding
from .guard import Guard
from .merge.batch import Batch, PlanChanged, Terms
from .merge.passes import Found, Passes, find_groups
from .merge.resolve import Resolver
from .merge.root import RootStatements, is_text
from .merge.sweep import sweep
from .merge.worker import Worker
from .plan import Plan, make_plan
from .refusals import MERGING
from .rehearsal import Rehearsal
from .report import Progress, Report, Shared
from .restore.run import Restore
from .session import alone, beside, prepare
from .settings import Settings
from .survey import Survey

T = TypeVar("T")


def merge_duplicates(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Merge all duplicates and keep new ones out from then on.

    ``connection`` is a psycopg connection of the run's own, in autocommit mode and idle. Safe to run again after any
    interruption, and while others write. Raises Refused before the first change, LockNotAcquired, MergeFailed,
    AnotherRunInProgress.
    """
    return _run(connection, settings, progress, lambda run: run.merge())


def add_constraint(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Merge what is left, build the unique index, make it the constraint, take the guard away."""
    return _run(connection, settings, progress, lambda run: run.constrain())


def drop_constraint(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Drop the constraint, or the index where an upgrade died half-way. Puts no guard back."""
    return _run(connection, settings, progress, lambda run: run.unconstrain())


def restore_duplicates(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Bring back what merging removed and changed, but for what people changed since, which ``Report.kept`` lists."""
    return _run(connection, settings, progress, lambda run: run.restore())


def _run(connection: Connection[Any], settings: Settings, progress: Progress, action: Callable[["_Run"], Report]) -> Report:
    with _worded():
        prepare(connection, settings)
        plan = make_plan(read_facts(connection, settings), settings)
        if plan.target is None:
            raise Refused(plan.reasons)
        with alone(connection, plan.target.oid, progress):
            return action(_Run(connection, settings, progress))


@contextmanager
def _worded() -> Iterator[None]:
    """The server's own messages may hold values of rows; ours do not."""
    try:
        yield
    except psycopg.OperationalError as error:
        if error.sqlstate is None or error.sqlstate.startswith(("57P", "08")):
            raise Interrupted from error
        raise StatementFailed(error.sqlstate, error.diag.table_name, error.diag.constraint_name) from None
    except psycopg.Error as error:
        raise StatementFailed(error.sqlstate, error.diag.table_name, error.diag.constraint_name) from None


class _Run:
    """One run over one table. The catalog is read once its lock is held."""

    def __init__(self, connection: Connection[Any], settings: Settings, progress: Progress) -> None:
        self.connection, self.settings, self.progress = connection, settings, progress
        self.started = time.monotonic()
        self.merged: list[Passes] = []
        self.notes: list[str] = []
        self._workspace: _Workspace | None = None
        self._objections: list[Reason] = []
        self.read()

    def read(self) -> None:
        """Read the catalog and its fingerprint as of one moment, and plan."""
        self._workspace = None
        with self.connection.transaction():
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.plan = make_plan(read_facts(self.connection, self.settings), self.settings)
            nodes = self.plan.tree.nodes if self.plan.tree else ()
            self.fingerprint = fingerprint(self.connection, [node.table.oid for node in nodes])

    @property
    def table(self) -> Table:
        assert self.plan.target is not None
        return self.plan.target

    @property
    def guard(self) -> Guard:
        return Guard(
            connection=self.connection,
            settings=self.settings,
            table=self.table,
            key=self.plan.key,
            progress=self.progress,
        )

    @property
    def forwarding(self) -> Forwarding:
        return Forwarding(connection=self.connection, settings=self.settings, target=self.table, progress=self.progress)

    @property
    def constraint(self) -> Constraint:
        return Constraint(
            connection=self.connection,
            settings=self.settings,
            table=self.table,
            key=self.plan.key,
            progress=self.progress,
        )

    @property
    def blanks(self) -> Blanks | None:
        """None where the key's last column is no text, and so cannot be blank."""
        if not self.plan.key or not is_text(self.table.by_number[self.plan.key[-1]]):
            return None
        return Blanks(
            connection=self.connection,
            settings=self.settings,
            table=self.table,
            phone=self.plan.key[-1],
            progress=self.progress,
        )

    @cached_property
    def archive(self) -> Archive:
        return Archive(self.connection, self.settings.private_schema)

    # Forward

    def merge(self) -> Report:
        self._refuse_other_archive()
        if self.plan.constrained:
            self.progress.note(f'"{self.settings.constraint}" is there already; nothing to merge')
            return self.report()
        self._merge()
        return self.report()

    def constrain(self) -> Report:
        self._refuse_other_archive()
        if not self.plan.constrained:
            self._merge_if_unguarded()
            self.progress.step("build the unique index")
            self.constraint.build(self._merge_rest)
            self._sweep()
        self.progress.step("make it the constraint")
        if not self.plan.constrained or self.guard.is_there():
            self.constraint.attach(self.guard.remove)
        self.constraint.drop_index(self.constraint.lookup_name)
        self.forwarding.remove()
        return self.report()

    def _merge_if_unguarded(self) -> None:
        """Where the guard stands no duplicate came since the merge; should one be left, the unique build finds it."""
        blocking = [reason for reason in self.plan.reasons if reason.code not in MERGING]
        if blocking or not self.guard.stands() or not self.archive.exists():
            self._merge()

    def _merge(self) -> None:
        self.progress.step("look for duplicates and for reasons to refuse")
        found = self._preflight()
        self.progress.step("prepare the archive and the lookup index")
        self.archive.ensure()
        if self.plan.lookup_index is None:
            self.constraint.ensure_lookup()
        self._empty_blanks()
        self._analyze()
        self.progress.step("keep new duplicates out")
        self.guard.ensure()
        self.progress.step("merge duplicates")
        self._merge_until_none(found)
        self._sweep()

    def _preflight(self) -> Found:
        """Refuse, with every reason at once, or give the work there is. Changes nothing."""
        blocking = [reason for reason in self.plan.reasons if reason.code not in MERGING]
        if self.plan.tree is None or any(r.code in _UNREADABLE for r in blocking):
            raise Refused(self.plan.reasons)
        if any(r.code in _UNREACHABLE for r in blocking):
            closed = _Workspace(self.connection, self.plan, create=False)
            rest = Survey(self.connection, self.plan, closed.resolver, closed.root).of_the_table()
            raise Refused(_unique([*self.plan.reasons, *rest]))
        wrong = [*unfillable(self.plan), *unblankable(self.plan), *faulty_expressions(self.connection, self.plan)]
        if wrong:
            raise Refused(_unique([*self.plan.reasons, *wrong]))
        workspace = self._open()
        found = find_groups(self.connection, workspace.root)
        survey = Survey(self.connection, self.plan, workspace.resolver, workspace.root)
        reasons = _unique([*self.plan.reasons, *survey.reasons(found)])
        rehearsal = Rehearsal(
            connection=self.connection,
            plan=self.plan,
            resolver=workspace.resolver,
            root=workspace.root,
            expected=self.fingerprint,
        )
        reasons += rehearsal.reasons(found, reasons)
        self.notes = _unique([*self.notes, *rehearsal.notes.values()])
        if any(reason.code not in MERGING for reason in reasons) or (found.slices and reasons):
            raise Refused(reasons)
        self._objections = reasons
        return found

    def _analyze(self) -> None:
        """A table that was never analysed is read whole for every batch; a copy made by a restore has such tables."""
        for node in self.plan.tree.nodes if self.plan.tree else ():
            if node.table.rows < 0:
                self.progress.note(f"{node.table.label} has no statistics; analysing it")
                self.connection.execute(template("ANALYZE {}").format(ident(node.table.schema, node.table.name)), {})

    def _merge_until_none(self, found: Found | None) -> None:
        """Merge; where the catalog changes meanwhile, plan anew and go on, or refuse."""
        while True:
            try:
                self._merge_once(found)
            except PlanChanged:
                self.progress.note("the catalog has changed; planning anew")
                self.read()
                found = self._preflight()
            else:
                return

    def _merge_once(self, found: Found | None) -> None:
        workspace = self._open()
        guarded = found is None or not found.slices
        if found is None or not found.slices:
            found = find_groups(self.connection, workspace.root, found.since if found else None)
        if not found.slices:
            return
        if self._objections:
            raise Refused(self._objections)
        self.forwarding.ensure(workspace.resolver.tree)
        run = self.archive.begin_run(self.table, self.settings)
        progress = Shared(self.progress)

        @contextmanager
        def second() -> Iterator[Worker | None]:
            with beside(self.connection, self.settings) as connection:
                yield self._worker(_Workspace(connection, self.plan, create=True), run, progress) if connection else None

        passes = Passes(self.settings, self._worker(workspace, run, progress), second, self.progress)
        self.merged.append(passes)
        passes.run(found, guarded=guarded)

    def _worker(self, workspace: "_Workspace", run: int, progress: Progress) -> Worker:
        batch = Batch(
            workspace.connection,
            workspace.resolver,
            workspace.root,
            Archive(workspace.connection, self.settings.private_schema),
            Terms(fill=self.plan.fill, decided=self.plan.decided, run=run, fingerprint=self.fingerprint),
        )
        return Worker(workspace.connection, batch, self.settings.batch_size, progress)

    def _sweep(self) -> None:
        """Declared references that were written past the forwarding triggers follow their contacts."""
        tree = self.plan.tree
        if (
            tree is None
            or self._objections
            or not any(e.declared for node in tree.nodes for e in (*node.incoming, *node.own))
        ):
            return
        workspace = self._open()
        with self.connection.transaction():
            run = self.archive.begin_run(self.table, self.settings)
            swept = sweep(self._worker(workspace, run, self.progress).batch)
            if not swept:
                raise Rollback
        self.notes += [f"{count} rows of {table} were led to survivors afterwards" for table, count in swept.items()]

    def _merge_rest(self) -> None:
        """Duplicates that no trigger saw arrive, such as replication's."""
        self.read()
        self._merge_until_none(self._preflight())

    def _empty_blanks(self) -> None:
        blanks = self.blanks
        if blanks is None or self.settings.blank_phones != "null":
            return
        self.progress.step("turn blank phones into NULL")
        blanks.ensure_trigger()
        changed = blanks.empty(self.archive, self.archive.begin_run(self.table, self.settings))
        if changed:
            self.notes.append(f"{changed} blank phones turned into NULL")

    def _open(self) -> "_Workspace":
        if self._workspace is None:
            self._workspace = _Workspace(self.connection, self.plan, create=True)
        return self._workspace

    # Back

    def unconstrain(self) -> Report:
        self.progress.step("drop the constraint")
        self._refuse_foreign_constraint()
        self.constraint.drop()
        self._take_down()
        return self.report()

    def restore(self) -> Report:
        self._refuse_other_archive()
        self._refuse_foreign_constraint()
        if self.constraint.state() is State.ATTACHED:
            raise Refused([_STILL_CONSTRAINED])
        self.progress.step("take down what an upgrade left")
        self.constraint.drop()
        self._take_down()
        if self.blanks is not None:
            self.blanks.remove_trigger()
        if not self.archive.exists():
            return self.report()
        self.progress.step("bring back merged rows", "batch")
        restore = Restore(self.connection, self.settings, self.table, self.progress)
        restore.run()
        return self.report(restore)

    def _take_down(self) -> None:
        """The guard and the lookup index, where an upgrade died half-way."""
        if self.guard.is_there():
            self.constraint.in_one_change(self.guard.remove)
        self.forwarding.remove()
        self.constraint.drop_index(self.constraint.lookup_name)

    def _refuse_other_archive(self) -> None:
        """An archive of this table under another name is not to be overlooked: it would not be brought back."""
        other = self.archive.elsewhere(self.table)
        if other is not None:
            raise Refused([_archive_elsewhere(other)])

    def _refuse_foreign_constraint(self) -> None:
        index = self.plan.constraint_index
        if index is not None and not self.plan.means_key(index):
            raise Refused(self.plan.reasons)

    # The end

    def report(self, restore: Restore | None = None) -> Report:
        moved: dict[str, int] = {}
        beyond: dict[str, int] = {}
        for passes in self.merged:
            for table, count in passes.moved.items():
                moved[table] = moved.get(table, 0) + count
            for table, count in passes.beyond.items():
                beyond[table] = beyond.get(table, 0) + count
        notes = [f"triggers changed {n} further rows of {t}; a downgrade does not undo that" for t, n in beyond.items()]
        return Report(
            groups=sum(p.groups for p in self.merged),
            rows_merged=sum(p.duplicates for p in self.merged),
            references_moved=dict(restore.undone) if restore else moved,
            rows_archived=sum(p.archived for p in self.merged),
            rows_restored=restore.inserted if restore else 0,
            kept=tuple(restore.kept) if restore else (),
            notes=(*self.notes, *notes),
            seconds=time.monotonic() - self.started,
        )


class _Workspace:
    """The session's temporary tables for one plan, and the statements over them."""

    def __init__(self, connection: Connection[Any], plan: Plan, *, create: bool) -> None:
        assert plan.tree is not None
        self.connection = connection
        self.resolver = Resolver(connection, plan.tree)
        self.root = RootStatements(node=plan.tree.root, key=plan.key, survivor_order=plan.survivor_order)
        if create:
            self._create()

    def _create(self) -> None:
        """Make them anew: they are shaped as the plan's tables are."""
        self.connection.execute("DISCARD TEMP")
        for statement in self.root.create():
            self.connection.execute(statement, {})
        self.resolver.create()


# Without these nothing can be read about the rows, so that no further reason can be found.
_UNREADABLE = frozenset(
    {
        "no_column", "not_a_table", "partitioned", "distributed", "partition", "no_primary_key", "not_comparable",
        "row_security", "rights", "virtual",
    }
)  # fmt: skip

# Without these nothing can be worked out about the tables that hang on the contacts.
_UNREACHABLE = frozenset({"child_rights", "tilde"})


def _archive_elsewhere(schema: str) -> Reason:
    return Reason(
        problem=f'the archive of this table is in the schema "{schema}"',
        way_on=f"set private_schema = {schema}",
        code="archive_elsewhere",
    )


_STILL_CONSTRAINED = Reason(
    problem="the unique constraint is still there: the duplicates cannot come back beside it",
    way_on="downgrade the revision unique_phone_workspace first",
    code="still_constrained",
)


def _unique(items: list[T]) -> list[T]:
    return list(dict.fromkeys(items))
