"""Lets the arguments of one operation win over the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from contacts_schema.errors import Problem, SettingsError
from contacts_schema.settings import Settings
from contacts_schema.settings_sources import PARSERS, unknown_name

OF_ONE_TABLE: Final = (
    "survivor_order",
    "fill",
    "references",
    "ignore_references",
    "collisions",
    "blank_phones",
)
OPTIONS: Final = (*OF_ONE_TABLE, "batch_size", "lock_timeout", "lock_attempts", "private_schema")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What an operation was called with; None and absent options leave it to the settings."""

    table_name: str | None = None
    columns: tuple[str, ...] | None = None
    schema: str | None = None
    constraint_name: str | None = None
    options: Mapping[str, Any]


def arguments(
    table_name: str | None,
    columns: Sequence[str] | None,
    schema: str | None,
    constraint_name: str | None,
    options: Mapping[str, Any],
) -> Arguments:
    """Return checked arguments. Raises SettingsError for an option that is none."""
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise SettingsError([unknown_name(f'argument "{name}"', name, OPTIONS) for name in unknown])
    key = (columns,) if isinstance(columns, str) else columns
    return Arguments(
        table_name=table_name,
        columns=None if key is None else tuple(key),
        schema=schema,
        constraint_name=constraint_name,
        options={name: value for name, value in options.items() if value is not None},
    )


def applied(settings: Settings, given: Arguments) -> Settings:
    """Return the settings of one operation.

    What the settings say about their own table (`OF_ONE_TABLE`, the key and the constraint's name) says
    nothing about another one: there an operation starts from the defaults and must name key and constraint.

    Raises SettingsError.
    """
    schema, table = given.schema or settings.schema, given.table_name or settings.table
    base = settings
    if (schema, table) != (settings.schema, settings.table):
        _require_names(given)
        base = replace(settings, **_defaults())
    return replace(
        base,
        schema=schema,
        table=table,
        columns=base.columns if given.columns is None else given.columns,
        constraint=given.constraint_name or base.constraint,
        **_values(given.options),
    )


def _defaults() -> dict[str, Any]:
    return {field.name: field.default for field in fields(Settings) if field.name in OF_ONE_TABLE}


def _require_names(given: Arguments) -> None:
    missing = [name for name in ("columns", "constraint_name") if getattr(given, name) is None]
    if missing:
        fault = "is missing; an operation on another table than the settings' own has to name it"
        raise SettingsError([Problem(name=name, fault=fault) for name in missing])


def _values(options: Mapping[str, Any]) -> dict[str, Any]:
    values, faults = {}, []
    for name, value in options.items():
        try:
            values[name] = PARSERS[name](value) if isinstance(value, str) else _plain(value)
        except ValueError as error:
            faults.append(Problem(name=name, fault=str(error), source="the operation's arguments"))
    if faults:
        raise SettingsError(faults)
    return values


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
