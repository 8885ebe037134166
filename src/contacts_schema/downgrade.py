"""The way back, from whatever state it finds: the constraint goes, then the merged rows come back."""

from .constraint import State
from .errors import Reason, Refused
from .report import Report
from .restore.run import Restore
from .run import Run


class Downgrade(Run):
    """What the two downgrades do."""

    def unconstrain(self) -> Report:
        """Drop the constraint, or what is there of it, and everything that stood in for it."""
        self.refuse_others()
        self.progress.step("drop the constraint")
        self.constraint.drop()
        self._take_down()
        return self.report()

    def restore(self) -> Report:
        """Bring back what was merged; what cannot come back stays in the archive and is told."""
        self.refuse_others()
        if self.constraint.state() is State.ATTACHED:
            raise Refused([STILL_CONSTRAINED])
        self.progress.step("take down what an upgrade left")
        self.constraint.drop()
        self._take_down()
        if self.blanks is not None:
            self.blanks.remove_trigger()
        if not self.archive.exists():
            return self.report()
        self.progress.step("bring back merged rows", "batch")
        found = Restore(self.connection, self.settings, self.plan, self.progress).run()
        return self.report(references_moved=dict(found.undone), rows_restored=found.inserted, kept=tuple(found.kept))

    def _take_down(self) -> None:
        """The guard and the lookup index, where an upgrade died half-way."""
        if self.guard.is_there():
            self.constraint.in_one_change(self.guard.remove)
        self.forwarding.remove()
        self.constraint.drop_index(self.constraint.lookup_name)

    def refuse_others(self) -> None:
        """Raise Refused where the archive or the constraint by its name is another than the settings say."""
        self.refuse_other_archive()
        index = self.plan.constraint_index
        if index is not None and not self.plan.means_key(index):
            raise Refused(self.plan.reasons)


STILL_CONSTRAINED = Reason(
    problem="the unique constraint is still there: the duplicates cannot come back beside it",
    way_on="downgrade the revision unique_phone_workspace first",
    code="still_constrained",
)
