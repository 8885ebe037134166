"""What our own `migrations/env.py` does. A project with an env.py of its own needs nothing from here."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from logging.config import fileConfig
from typing import Any, Final, NoReturn, cast

import psycopg
from alembic import context
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SAWarning
from sqlalchemy.pool import ConnectionPoolEntry

from contacts_schema import operations
from contacts_schema.comparison import expected
from contacts_schema.configuration import settings_from
from contacts_schema.connections import connection_failed
from contacts_schema.errors import ContactsSchemaError, Interrupted, UrlError, began_with_ctrl_c
from contacts_schema.session import at_home, refuse_pooler, refuse_read_only
from contacts_schema.settings import Settings
from contacts_schema.turns import take_turn
from contacts_schema.unstamped import refuse_unstamped
from contacts_schema.url import VARIABLE, database_url
from contacts_schema.version_table import require_place, require_reading
from contacts_schema.wording import worded

__all__ = ["migrate", "operations"]

_INTERRUPTED_EXIT: Final = 130
_CONNECTION: Final = {
    "fallback_application_name": "contacts_schema alembic",
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# Under another one, which a role or a database may be given, psycopg's texts would be bytes.
_ENCODING: Final = {"client_encoding": "utf8"}
_VERSION_TABLE: Final = re.compile(r"^CREATE TABLE (\S*alembic_version \()", re.MULTILINE)
# This session holds the turn of the run. A role's limits are made for requests, and not every server has each of them;
# a session whose client is gone without a word has to end.
_SESSION: Final = """
SELECT set_config(s.name, given.value, false)
FROM (VALUES ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
             ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'))
     AS given (name, value) JOIN pg_catalog.pg_settings AS s USING (name)
"""


def migrate() -> None:
    """Run what Alembic was asked for. On the command line an error is a message on stderr and exit code 1."""
    try:
        _configure_logging()
        settings = settings_from(context.config, only_ours=True)
        if context.is_offline_mode():
            _render(settings)
        else:
            _migrate(settings, database_url(os.environ))
    except KeyboardInterrupt:
        _stop(Interrupted(), _INTERRUPTED_EXIT)
    except ContactsSchemaError as error:
        # What was cut short may fail once more while it is left.
        if began_with_ctrl_c(error):
            _stop(Interrupted(), _INTERRUPTED_EXIT)
        _stop(error, 1)


def _stop(error: ContactsSchemaError, code: int) -> NoReturn:
    if context.config.cmd_opts is None:
        raise error
    sys.stderr.write(f"{error}\n")
    raise SystemExit(code)


def _configure_logging() -> None:
    # A program that calls Alembic has set up its own logging.
    if context.config.cmd_opts is None:
        return
    if context.config.file_config.has_section("formatters"):
        fileConfig(context.config.file_config, disable_existing_loggers=False)
    else:
        logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        logging.getLogger("alembic").setLevel(logging.INFO)


def _migrate(settings: Settings, url: URL) -> None:
    with _connected(_engine(url, settings.schema)) as connection, warnings.catch_warnings():
        # A comparison reads columns of types that SQLAlchemy does not know, and looks at none of them.
        warnings.simplefilter("ignore", SAWarning)
        context.configure(connection=connection, transaction_per_migration=True)
        if _asks("retrieve_migrations"):
            context.configure(connection=connection, **expected(settings))
        if "destination_rev" in context.get_context().opts:
            refuse_read_only(_driver_connection(connection))
            require_place(connection, settings.schema)
            take_turn(connection, settings.schema)
            # Alembic says nothing at all there, or that "-1" leads nowhere.
            if _asks("downgrade") and not context.get_context().get_current_heads():
                refuse_unstamped(connection, settings)
        else:
            require_reading(connection, settings.schema)
        # The transaction is Alembic's own from here on, one for each revision.
        connection.commit()
        with context.begin_transaction():
            context.run_migrations()


def _render(settings: Settings) -> None:
    """One script in one transaction. Written at the end, so that a refusal leaves no half of it."""
    script = StringIO()
    context.configure(dialect_name="postgresql", version_table_schema=settings.schema, output_buffer=script)
    with context.begin_transaction():
        context.run_migrations()
    # Alembic's own table stays where everything was taken back, and may be there for revisions of others.
    text = _VERSION_TABLE.sub(r"CREATE TABLE IF NOT EXISTS \1", script.getvalue(), count=1)
    (context.config.output_buffer or sys.stdout).write(text)


def _driver_connection(connection: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _asks(name: str) -> bool:
    """Whether Alembic is about to do this; `alembic check` and autogenerate retrieve migrations."""
    return bool(context.get_context().opts["fn"].__name__ == name)


def _engine(url: URL, schema: str) -> Engine:
    defaults = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    try:
        engine = create_engine(url.update_query_dict(defaults | _ENCODING), poolclass=NullPool, hide_parameters=True)
    except ArgumentError as error:
        raise UrlError(f"{VARIABLE} cannot be used: {' '.join(str(error).split())}") from None

    @event.listens_for(engine, "connect")
    def only_this_schema(driver_connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection = cast("psycopg.Connection[Any]", driver_connection)
        connection.autocommit = True
        refuse_pooler(connection)
        # Decides where alembic_version is, whatever the role's or the database's own search_path says.
        at_home(connection, schema)
        connection.execute(_SESSION)
        connection.autocommit = False

    return engine


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise connection_failed(error) from None
    try:
        with connection:
            yield connection
    except DBAPIError as error:
        raise worded(error.orig) from None
