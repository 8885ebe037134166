"""One run over one table: its plan as the catalog is now, and the parts that work by it."""

import time
from functools import cached_property
from typing import Any

from psycopg import Connection

from .archive import Archive
from .blanks import Blanks
from .catalog.facts import Table
from .catalog.read import fingerprint, read_facts
from .constraint import Constraint
from .errors import Reason, Refused, TableReplaced
from .forward import Forwarding
from .guard import Guard
from .merge.root import is_text
from .plan import make_plan
from .report import Progress, Report
from .retry import with_lock
from .settings import Settings


class Run:
    """What the ways forward and back have in common. The catalog is read once the run's lock is held."""

    def __init__(
        self,
        connection: Connection[Any],
        settings: Settings,
        progress: Progress,
        expected: int | None = None,
        *,
        portable: bool = False,
    ) -> None:
        self.connection, self.settings, self.progress, self._expected = connection, settings, progress, expected
        self._portable = portable
        self.started = time.monotonic()
        self.read()

    def read(self) -> None:
        """Plan by the catalog as it is now. Raises TableReplaced where the name is another table's since.

        Whoever is changing a table is waited for: the server does before it describes it.
        """
        with_lock(self.connection, self.settings, self.progress, "a table to read its definition", self._read)
        found = self.plan.target.oid if self.plan.target else None
        if self._expected not in (None, found):
            raise TableReplaced(f"{self.settings.schema}.{self.settings.table}")
        self._expected = found

    def _read(self) -> None:
        """Read the catalog and its fingerprint as of one moment."""
        with self.connection.transaction():
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.plan = make_plan(read_facts(self.connection, self.settings, portable=self._portable), self.settings)
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

    def refuse_other_archive(self) -> None:
        """An archive of this table under another name is not to be overlooked: it would not be brought back."""
        other = self.archive.elsewhere(self.table)
        if other is not None:
            raise Refused([archive_elsewhere(other)])

    def report(self, **found: Any) -> Report:
        """What the run did, by the names of :class:`Report`, and how long it took."""
        return Report(**found, seconds=time.monotonic() - self.started)


def archive_elsewhere(schema: str) -> Reason:
    """Why a run with these settings would overlook an archive of its table."""
    return Reason(
        problem=f'the archive of this table is in the schema "{schema}"',
        way_on=f"set private_schema = {schema}",
        code="archive_elsewhere",
    )
