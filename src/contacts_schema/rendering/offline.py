"""What `--sql` makes of a directive: its part of the script, written where Alembic writes the rest."""

import logging
import os
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from alembic.runtime.migration import MigrationContext

from contacts_schema.connections import connected
from contacts_schema.errors import OfflineUnavailable
from contacts_schema.rendering.downgrade import DowngradeScript
from contacts_schema.rendering.plain import PlainScript
from contacts_schema.rendering.upgrade import UpgradeScript
from contacts_schema.settings import Settings
from contacts_schema.url import VARIABLE, database_url
from contacts_schema.wording import named_errors

_LOGGER: Final = logging.getLogger("alembic.contacts_schema")
_UNSEEN: Final = (
    "%s is not set: the script is rendered without a look at the tables, and stops where there is more "
    "than the settings tell"
)
# What one script already does, by table: a second directive goes on where the first one ended.
_begun: Final[WeakKeyDictionary[MigrationContext, set[tuple[str, str]]]] = WeakKeyDictionary()


def render(context: MigrationContext, directive: str, settings: Settings) -> None:
    """Write one directive's part of the script. Raises ContactsSchemaError.

    Reads the database that DATABASE_URL names; where it is not set, knows nothing but the settings.
    """
    begun, table = _begun.setdefault(context, set()), (settings.schema, settings.table)
    script = (
        _looking(directive, settings, table in begun)
        if os.environ.get(VARIABLE)
        else _plain(directive, settings, table in begun)
    )
    begun.add(table)
    context.impl.static_output(script)


def _looking(directive: str, settings: Settings, begun: bool) -> str:
    with named_errors(), connected(database_url(os.environ)) as connection:
        return _SCRIPTS[directive](connection, settings, begun)


def _plain(directive: str, settings: Settings, begun: bool) -> str:
    if directive not in ("merge_duplicates", "create_unique_constraint_online"):
        raise OfflineUnavailable
    script = PlainScript(settings)
    if not begun:
        _LOGGER.warning(_UNSEEN, VARIABLE)
    return script.merge() if directive == "merge_duplicates" else _constrain(script, begun)


def _constrain(script: UpgradeScript | PlainScript, begun: bool) -> str:
    return script.constrain() if begun else f"{script.merge()}\n\n{script.constrain()}"


_SCRIPTS: Final[dict[str, Callable[[psycopg.Connection[Any], Settings, bool], str]]] = {
    "merge_duplicates": lambda connection, settings, _: UpgradeScript(connection, settings).merge(),
    "create_unique_constraint_online": lambda connection, settings, begun: _constrain(
        UpgradeScript(connection, settings), begun
    ),
    "drop_unique_constraint_online": lambda connection, settings, _: DowngradeScript(connection, settings).unconstrain(),
    "restore_duplicates": lambda connection, settings, begun: DowngradeScript(connection, settings).restore(begun=begun),
}
