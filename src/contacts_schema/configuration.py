"""Finds the settings in what Alembic was started with."""

import configparser
import os
from collections.abc import Mapping

from alembic.config import Config

from contacts_schema.errors import Problem, SettingsError
from contacts_schema.settings import Settings
from contacts_schema.settings_sources import PARSERS, SECTION, read_settings


def settings_from(config: Config | None, *, only_ours: bool = False) -> Settings:
    """Return the settings of this run; without a config those of the environment. Raises SettingsError.

    `only_ours` as in `read_settings`.
    """
    x_arguments = getattr(config.cmd_opts, "x", None) if config is not None else None
    section = section_of(config) if config is not None else {}
    return read_settings(x_arguments or (), os.environ, section, only_ours=only_ours)


def section_of(config: Config) -> Mapping[str, str]:
    """Return what stands in our section of alembic.ini. Raises SettingsError."""
    parser = config.file_config
    if not parser.has_section(SECTION):
        return {}
    try:
        # The defaults hold names of Alembic's, and perhaps of others.
        return {name: text for name, text in parser.items(SECTION) if name in PARSERS or name not in parser.defaults()}
    except configparser.InterpolationError as error:
        fault = 'holds a single "%"; write it as "%%"'
        raise SettingsError([Problem(name=error.option, source="alembic.ini", fault=fault)]) from None
