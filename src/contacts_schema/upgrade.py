"""The way forward, from whatever state it finds: guard, merge, constrain."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from psycopg import Connection

from .archive import Archive
from .compose import ident, template
from .ddl import change_table
from .errors import CatalogKeepsChanging, Reason, Refused
from .merge.batch import Batch, PlanChanged, Terms
from .merge.passes import Found, Passes, find_groups
from .merge.sweep import sweep
from .merge.worker import Worker
from .preflight import blocking, preflight, unique
from .report import Progress, Report, Shared
from .retry import with_lock
from .run import Run
from .run_lock import keeping
from .session import beside
from .settings import Settings
from .workspace import Workspace

# Plans in a row that the catalog had outrun before a single batch was through.
_PLANS_IN_VAIN = 10


class Upgrade(Run):
    """What the two upgrades do."""

    def __init__(
        self, connection: Connection[Any], settings: Settings, progress: Progress, expected: int | None = None
    ) -> None:
        self.merged: list[Passes] = []
        self.notes: list[str] = []
        self._objections: tuple[Reason, ...] = ()
        super().__init__(connection, settings, progress, expected)

    def read(self) -> None:
        """Plan anew; the session's tables are no longer shaped as the plan's."""
        self._workspace: Workspace | None = None
        super().read()

    def merge(self) -> Report:
        """Merge all duplicates, and keep new ones out."""
        self.refuse_other_archive()
        if self.plan.constrained:
            self.progress.note(f'"{self.settings.constraint}" is there already; nothing to merge')
        else:
            with keeping(self.connection, self.settings):
                self._merge()
        return self._report()

    def constrain(self) -> Report:
        """Merge what is left, and put the constraint in the guard's place."""
        self.refuse_other_archive()
        with keeping(self.connection, self.settings):
            self._constrain()
        return self._report()

    def _constrain(self) -> None:
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

    def _merge_if_unguarded(self) -> None:
        """Where the guard stands no duplicate came since the merge; should one be left, the unique build finds it."""
        if blocking(self.plan.reasons) or not self.guard.stands() or not self.archive.exists():
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

    def _merge_rest(self) -> None:
        """Duplicates that no trigger saw arrive, such as replication's."""
        self.read()
        self._merge_until_none(self._preflight())

    def _preflight(self) -> Found:
        looked = preflight(self.connection, self.plan, self.fingerprint)
        self._workspace, self._objections = looked.workspace, looked.objections
        self.notes = unique([*self.notes, *looked.notes])
        return looked.found

    def _empty_blanks(self) -> None:
        blanks = self.blanks
        if blanks is None or self.settings.blank_phones != "null":
            return
        self.progress.step("turn blank phones into NULL")
        blanks.ensure_trigger()
        changed = blanks.empty(self.archive, self.archive.begin_run(self.table, self.settings))
        if changed:
            self.notes.append(f"{changed} blank phones turned into NULL")

    def _analyze(self) -> None:
        """A table that was never analysed is read whole for every batch; a copy made by a restore has such tables."""
        for node in self.plan.tree.nodes if self.plan.tree else ():
            if node.table.rows < 0:
                self.progress.note(f"{node.table.label} has no statistics; analysing it")
                statement = template("ANALYZE {}").format(ident(node.table.schema, node.table.name))
                analyze = partial(self.connection.execute, statement, {})
                # It waits for its lock with an open snapshot, for which others wait: the lock is awaited without one.
                change_table(self.connection, self.settings, self.progress, node.table, analyze)

    def _merge_until_none(self, found: Found) -> None:
        """Merge; where the catalog changes meanwhile, plan anew and go on, or refuse."""
        in_vain = 0
        while in_vain < _PLANS_IN_VAIN:
            before = self._duplicates_merged()
            try:
                self._merge_once(found)
            except PlanChanged:
                in_vain = 0 if self._duplicates_merged() > before else in_vain + 1
                self.progress.note("the catalog has changed; planning anew")
                self.read()
                found = self._preflight()
            else:
                return
        raise CatalogKeepsChanging(self.table.label)

    def _duplicates_merged(self) -> int:
        return sum(passes.duplicates for passes in self.merged)

    def _merge_once(self, found: Found) -> None:
        workspace, guarded = self._open(), not found.slices
        if not found.slices:
            found = find_groups(self.connection, workspace.root, found.since)
        if not found.slices:
            return
        if self._objections:
            raise Refused(self._objections)
        self.forwarding.ensure(workspace.resolver.tree)
        run, progress = self.archive.begin_run(self.table, self.settings), Shared(self.progress)

        @contextmanager
        def second() -> Iterator[Worker | None]:
            with beside(self.connection, self.settings) as connection:
                yield self._worker(Workspace(connection, self.plan, create=True), run, progress) if connection else None

        first = self._worker(workspace, run, progress)
        first.batch.prepare(partial(with_lock, self.connection, self.settings, self.progress, "the archive"))
        passes = Passes(self.settings, first, second, self.progress)
        self.merged.append(passes)
        passes.run(found, guarded=guarded)

    def _worker(self, workspace: Workspace, run: int, progress: Progress) -> Worker:
        return Worker(workspace.connection, self._batch(workspace, run), self.settings.batch_size, progress)

    def _batch(self, workspace: Workspace, run: int | None) -> Batch:
        return Batch(
            workspace.connection,
            workspace.resolver,
            workspace.root,
            Archive(workspace.connection, self.settings.private_schema),
            Terms(fill=self.plan.fill, decided=self.plan.decided, run=run, fingerprint=self.fingerprint),
        )

    def _sweep(self) -> None:
        """Declared references that were written past the forwarding triggers follow their contacts."""
        tree = self.plan.tree
        if tree is None or self._objections or not tree.declared:
            return
        # What is swept is noted beside the rows that it led to, in their batches.
        patiently = partial(with_lock, self.connection, self.settings, self.progress, "what refers to contacts")
        swept = sweep(self._batch(self._open(), run=None), patiently)
        self.notes += [f"{count} rows of {table} were led to survivors afterwards" for table, count in swept.items()]

    def _open(self) -> Workspace:
        if self._workspace is None:
            self._workspace = Workspace(self.connection, self.plan, create=True)
        return self._workspace

    def _report(self) -> Report:
        moved, beyond = Counter[str](), Counter[str]()
        for passes in self.merged:
            moved.update(passes.moved)
            beyond.update(passes.beyond)
        notes = [f"triggers changed {n} further rows of {t}; a downgrade does not undo that" for t, n in beyond.items()]
        return self.report(
            groups=sum(p.groups for p in self.merged),
            rows_merged=self._duplicates_merged(),
            references_moved=dict(moved),
            rows_archived=sum(p.archived for p in self.merged),
            notes=(*self.notes, *notes),
        )
