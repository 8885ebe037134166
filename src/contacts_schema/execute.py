"""The things that are done to a database, each from whatever state it finds and under the run's lock."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, errors

from .catalog.read import find_table, read_facts
from .downgrade import Downgrade
from .errors import Refused
from .plan import make_plan
from .report import Progress, Report
from .retry import is_locked, with_lock
from .run import Run
from .run_lock import alone
from .session import prepare
from .settings import Settings
from .stamp import stamped, unstamp
from .upgrade import Upgrade
from .wording import named_errors

_R = TypeVar("_R", bound=Run)


def merge_duplicates(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Merge all duplicates and keep new ones out from then on.

    ``connection`` is a psycopg connection of the run's own, in autocommit mode and idle. Safe to run again after any
    interruption, and while others write. Raises Refused before the first change, LockNotAcquired, MergeFailed,
    AnotherRunInProgress.
    """
    return _run(connection, settings, progress, Upgrade, Upgrade.merge)


def add_constraint(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Merge what is left, build the unique index, make it the constraint, take the guard away."""
    return _run(connection, settings, progress, Upgrade, Upgrade.constrain)


def drop_constraint(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Drop the constraint, or the index where an upgrade died half-way. Puts no guard back."""
    return _run(connection, settings, progress, Downgrade, Downgrade.unconstrain)


def restore_duplicates(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Bring back what merging removed and changed, but for what people changed since, which ``Report.kept`` lists."""
    return _run(connection, settings, progress, Downgrade, Downgrade.restore)


def take_back(connection: Connection[Any], settings: Settings, progress: Progress) -> Report:
    """Drop the constraint, bring back what was merged, and unstamp; from any state that an upgrade can be in."""
    return _run(connection, settings, progress, Downgrade, _taken_back)


def _taken_back(down: Downgrade) -> Report:
    down.refuse_other_archive()
    if not _has_left_something(down):
        return down.report(notes=(_NOTHING_LEFT.format(down.table.label),))
    down.unconstrain()
    down.read()
    report = down.restore()
    unstamping = partial(unstamp, down.connection, down.settings.schema)
    if with_lock(down.connection, down.settings, down.progress, "Alembic's version table", unstamping):
        return report
    return replace(report, notes=(*report.notes, "nothing of ours was stamped; stamp revisions of your own with alembic"))


_NOTHING_LEFT = (
    "there is nothing of an upgrade of {} here that the archive or a guard shows; one that merged nothing and is stamped "
    "is taken back by `alembic downgrade base`"
)


def _has_left_something(down: Downgrade) -> bool:
    """A constraint that somebody else has made is not ours to drop, nor is the stamp another table's."""
    table, sources = down.table, down.archive.sources()
    if any(oid == table.oid or (schema, name) == (table.schema, table.name) for oid, schema, name in sources):
        return True
    return down.guard.is_there() or (not sources and stamped(down.connection, down.settings.schema))


def _run(
    connection: Connection[Any], settings: Settings, progress: Progress, kind: type[_R], work: Callable[[_R], Report]
) -> Report:
    with named_errors():
        prepare(connection, settings)
        table = find_table(connection, settings.schema, settings.table)
        if table is None:
            raise Refused(make_plan(read_facts(connection, settings), settings).reasons)
        with alone(connection, table, progress):
            return _to_its_end(kind(connection, settings, progress, table), work)


def _to_its_end(run: _R, work: Callable[[_R], Report]) -> Report:
    """Go on where a lock was not to be had for a mere look at a table, as after any other interruption."""

    def attempt() -> Report:
        try:
            return work(run)
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            run.read()  # says so where it is the table itself that is gone
            raise

    def again() -> Report:
        run.read()
        return attempt()

    try:
        return attempt()
    except psycopg.Error as error:
        # A serialization failure is none of ours: a trigger says so.
        if not is_locked(error) or isinstance(error, errors.SerializationFailure):
            raise
    return with_lock(run.connection, run.settings, run.progress, f"{run.table.label} or what refers to it", again)
