"""Runs one operation: a connection of its own, somebody to tell, the engine, a summary."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import PendingRollbackError

from contacts_schema import execute
from contacts_schema.configuration import settings_from
from contacts_schema.connections import adopt, left_alone, own_connection
from contacts_schema.console import progress_for, summary
from contacts_schema.errors import Interrupted
from contacts_schema.rendering.offline import render
from contacts_schema.report import Progress, Report
from contacts_schema.settings import Settings
from contacts_schema.settings_arguments import Arguments, applied
from contacts_schema.wording import named_errors

Work = Callable[[psycopg.Connection[Any], Settings, Progress], Report]

_WORK: Final[dict[str, tuple[Work, str]]] = {
    "merge_duplicates": (execute.merge_duplicates, "duplicates merged"),
    "restore_duplicates": (execute.restore_duplicates, "duplicates restored"),
    "create_unique_constraint_online": (execute.add_constraint, "unique constraint in place"),
    "drop_unique_constraint_online": (execute.drop_constraint, "unique constraint dropped"),
}


def run(context: MigrationContext, directive: str, given: Arguments) -> Report:
    """Do what a directive says, or with `--sql` write it into the script. Raises ContactsSchemaError."""
    settings = applied(settings_from(context.config), given)
    if context.as_sql or context.bind is None:
        render(context, directive, settings)
        return Report()
    work, title = _WORK[directive]
    with (
        _lost_unnoticed(),
        named_errors(),
        own_connection(context.bind.engine) as connection,
        left_alone(context) as session,
    ):
        adopt(connection, session)
        progress = progress_for(sys.stderr)
        with progress:
            report = work(connection, settings, progress)
        progress.note(summary(report, title))
    return report


@contextmanager
def _lost_unnoticed() -> Iterator[None]:
    """Alembic's own connection was lost, and the commit at the end of its autocommit block hides how."""
    try:
        yield
    except PendingRollbackError:
        raise Interrupted from None
