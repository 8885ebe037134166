"""Lets go of what was archived long ago, and so of the way back to before."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from psycopg import Connection, sql

from ..archive import Archive
from ..catalog.read import read_facts
from ..compose import NOTHING, ident
from ..errors import Reason, Refused
from ..plan import Plan, make_plan
from ..report import Progress
from ..restore.run import Restore
from ..retry import with_lock
from ..run import archive_elsewhere
from ..session import alone, prepare
from ..settings import Settings
from ..sql import load

_SQL = load("archived")
# So many batches a transaction.
_AT_ONCE: Final = 200


def purge(
    connection: Connection[Any], settings: Settings, age: str, progress: Progress, agree: Callable[[Mapping[str, int]], bool]
) -> Mapping[str, int]:
    """Forget what was done longer ago than the interval `age`, once `agree` has said so to the counts by table.

    Returns how many archived rows and journal entries went, by table; nothing where there are none or nobody agreed.
    Raises Refused where an upgrade is not complete: writers may be led through the archive then.
    """
    prepare(connection, settings)
    facts = with_lock(
        connection, settings, progress, "a table to read its definition", partial(read_facts, connection, settings)
    )
    plan = make_plan(facts, settings)
    if plan.tree is None or plan.target is None or plan.target.kind != "r":
        raise Refused(plan.reasons)
    with alone(connection, plan.target.oid, progress):
        return _Purge(connection, settings, plan, progress).run(age, agree)


class _Purge:
    def __init__(self, connection: Connection[Any], settings: Settings, plan: Plan, progress: Progress) -> None:
        assert plan.target is not None
        self.connection, self.settings, self.plan, self.progress = connection, settings, plan, progress
        self.restore = Restore(connection, settings, plan, progress)
        self.source: dict[str, Any] = {
            "source": plan.target.oid,
            "source_schema": plan.target.schema,
            "source_name": plan.target.name,
        }

    def run(self, age: str, agree: Callable[[Mapping[str, int]], bool]) -> Mapping[str, int]:
        archive = Archive(self.connection, self.settings.private_schema)
        if (other := archive.elsewhere(self.restore.target)) is not None:
            raise Refused([archive_elsewhere(other)])
        if not archive.exists():
            return {}
        if not self.plan.constrained:
            raise Refused([_INCOMPLETE])
        batches = self._rows("old_batches", **self.source, age=age)
        counts = self._count(batches)
        if not batches or not agree(counts):
            return {}
        for some in _pieces(batches):
            self._patiently(partial(self._forget, some))
        self._patiently(self.restore.clean)
        return counts

    def _patiently(self, action: Callable[[], None]) -> None:
        """Somebody may be looking something up in the archive."""
        with_lock(self.connection, self.settings, self.progress, "the archive", action)

    def _count(self, batches: Sequence[int]) -> Mapping[str, int]:
        counts = Counter[str]()
        for source in self.restore.store.sources.values():
            counts[source.label] += self._rows("count_old", relation=source.relation, batches=batches)[0]
        return +counts

    def _forget(self, batches: Sequence[int]) -> None:
        with self.connection.transaction():
            for source in self.restore.store.sources.values():
                self._execute("forget_old", relation=source.relation, batches=batches)
            self._execute("forget_batches", batches=batches)

    def _rows(self, name: str, relation: sql.Identifier | None = None, **values: Any) -> list[Any]:
        return self.restore.store.values(self._composed(name, relation), values)

    def _execute(self, name: str, relation: sql.Identifier | None = None, **values: Any) -> None:
        self.connection.execute(self._composed(name, relation), values)

    def _composed(self, name: str, relation: sql.Identifier | None) -> sql.Composed:
        return _SQL[name].format(schema=ident(self.settings.private_schema), relation=relation or NOTHING)


def _pieces(batches: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(batches), _AT_ONCE):
        yield batches[start : start + _AT_ONCE]


_INCOMPLETE = Reason(
    problem="the constraint is not there: writers may still be led through the archive, or a downgrade need it",
    way_on="run the upgrade to its end first, or take it back",
    code="incomplete",
)
