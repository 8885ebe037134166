"""Lets the arguments of one operation win over the settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from contacts_schema.errors import Problem, SettingsError
from contacts_schema.settings import Settings
from contacts_schema.settings_sources import unknown_name
from contacts_schema.settings_values import names_of, text_of, value_of

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
    """What an operation was called with, as values; None and absent options leave it to the settings."""

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
    """Return checked arguments. Raises SettingsError with every option that is none and every value that will not do."""
    faults = [unknown_name(f'argument "{name}"', name, OPTIONS) for name in options if name not in OPTIONS]
    named = {"table_name": table_name, "schema": schema, "constraint_name": constraint_name}
    names = dict(_read(named, lambda _, value: text_of(value), faults))
    key = dict(_read({"columns": columns}, lambda _, value: names_of(value), faults))
    known = {name: value for name, value in options.items() if name in OPTIONS}
    values = dict(_read(known, value_of, faults))
    if faults:
        raise SettingsError(faults)
    return Arguments(**names, **key, options=values)


def applied(settings: Settings, given: Arguments) -> Settings:
    """Return the settings of one operation.

    What the settings say about their own table (`OF_ONE_TABLE`, the key and the constraint's name) says
    nothing about another one: there an operation starts from the defaults and must name key and constraint.

    Raises SettingsError.
    """
    schema = settings.schema if given.schema is None else given.schema
    table = settings.table if given.table_name is None else given.table_name
    base = settings
    if (schema, table) != (settings.schema, settings.table):
        _require_names(given)
        base = replace(settings, **_defaults())
    return replace(
        base,
        schema=schema,
        table=table,
        columns=base.columns if given.columns is None else given.columns,
        constraint=base.constraint if given.constraint_name is None else given.constraint_name,
        **given.options,
    )


def _defaults() -> dict[str, Any]:
    return {field.name: field.default for field in fields(Settings) if field.name in OF_ONE_TABLE}


def _require_names(given: Arguments) -> None:
    missing = [name for name in ("columns", "constraint_name") if getattr(given, name) is None]
    if missing:
        fault = "is missing; an operation on another table than the settings' own has to name it"
        raise SettingsError([Problem(name=name, fault=fault) for name in missing])


def _read(
    given: Mapping[str, object], read: Callable[[str, object], Any], faults: list[Problem]
) -> Iterator[tuple[str, Any]]:
    """Give what `read` makes of each value that is not None; what it complains of is added to `faults`."""
    for name, value in given.items():
        try:
            if value is not None:
                yield name, read(name, value)
        except ValueError as error:
            faults.append(Problem(name=name, fault=str(error), source="the operation's arguments"))
