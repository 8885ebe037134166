"""Lets go of what was archived long ago, and so of the way back to before."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final

from psycopg import Connection, sql

from ..catalog.read import find_table, read_facts
from ..compose import NOTHING, ident
from ..errors import Reason, Refused
from ..plan import make_plan
from ..report import Progress
from ..restore.run import Restore
from ..retry import with_lock
from ..run import Run
from ..run_lock import alone
from ..session import prepare
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
    table = find_table(connection, settings.schema, settings.table)
    if table is None:
        raise Refused(make_plan(read_facts(connection, settings), settings).reasons)
    with alone(connection, table, progress):
        return _Purge(connection, settings, progress, table).of(age, agree)


class _Purge(Run):
    """Read under the run's lock: a downgrade may just have taken the constraint away."""

    @cached_property
    def restore(self) -> Restore:
        return Restore(self.connection, self.settings, self.plan, self.progress)

    def of(self, age: str, agree: Callable[[Mapping[str, int]], bool]) -> Mapping[str, int]:
        if self.plan.tree is None or self.table.kind != "r":
            raise Refused(self.plan.reasons)
        self.refuse_other_archive()
        if not self.archive.exists():
            return {}
        if not self.plan.constrained:
            raise Refused([_INCOMPLETE])
        source: dict[str, Any] = {"source": self.table.oid, "source_schema": self.table.schema}
        source["source_name"] = self.table.name
        batches = self._rows("old_batches", **source, age=age)
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
