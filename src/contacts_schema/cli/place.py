"""Where a command works: settings and database, from the same sources as Alembic's."""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from alembic.config import Config

from contacts_schema import connections
from contacts_schema.configuration import section_of
from contacts_schema.settings_sources import read_settings
from contacts_schema.url import database_url
from contacts_schema.wording import named_errors

if TYPE_CHECKING:
    import psycopg

    from contacts_schema.settings import Settings

__all__ = ["connected", "placed", "settings"]

F = TypeVar("F", bound=Callable[..., Any])

_FILE: Final = "alembic.ini"


def placed(command: F) -> F:
    """Give a command the options `-x` and `--config`."""
    for option in (
        click.option("-x", "x", multiple=True, metavar="NAME=VALUE", help="A setting, as alembic takes it."),
        click.option(
            "-c",
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help=f"The {_FILE} with further settings; else the one in this directory, where there is one.",
        ),
    ):
        command = option(command)
    return command


def settings(x: tuple[str, ...], config: Path | None) -> Settings:
    """Return the settings of the command line, the environment and alembic.ini. Raises SettingsError."""
    file = config or (Path(_FILE) if Path(_FILE).is_file() else None)
    try:
        section = section_of(Config(str(file))) if file else {}
    except (configparser.Error, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {type(error).__name__}") from None
    return read_settings(x, os.environ, section, only_ours=True)


@contextmanager
def connected() -> Iterator[psycopg.Connection[Any]]:
    """Open a connection to DATABASE_URL in autocommit mode; what the server refuses is worded without its values."""
    with named_errors(), connections.connected(database_url(os.environ)) as connection:
        yield connection
