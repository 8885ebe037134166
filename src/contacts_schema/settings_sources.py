"""Reads settings from `-x name=value`, else the environment, else [contacts_schema] in alembic.ini."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from contacts_schema import settings_parsing as parsing
from contacts_schema.errors import Problem, SettingsError, shown
from contacts_schema.settings import Reference, Settings

PREFIX: Final = "CONTACTS_SCHEMA_"
SECTION: Final = "contacts_schema"


def parse_references(text: str) -> tuple[Reference, ...]:
    """Return the references that `text` declares, entries separated by newlines or semicolons.

    In a target, one name is a table and two are a table and its column; a schema needs all three names.
    """
    return tuple(_reference(entry) for entry in parsing.split(text, ";\n"))


def _reference(entry: str) -> Reference:
    source, target, condition = parsing.parse_entry(entry)
    return Reference(
        schema=source[-3] if len(source) == 3 else None,
        table=source[-2],
        column=source[-1],
        target_schema=target[0] if len(target) == 3 else None,
        target_table=target[-2:][0] if target else None,
        target_column=target[-1] if len(target) > 1 else None,
        condition=condition,
    )


PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "schema": parsing.parse_name,
    "table": parsing.parse_name,
    "workspace_column": parsing.parse_name,
    "phone_column": parsing.parse_name,
    "survivor_order": parsing.parse_sql,
    "fill": parsing.parse_names,
    "references": parse_references,
    "ignore_references": parsing.parse_columns,
    "collisions": parsing.parse_collisions,
    "blank_phones": parsing.parse_blank_phones,
    "batch_size": parsing.parse_optional_count,
    "lock_timeout": parsing.parse_milliseconds,
    "lock_attempts": parsing.parse_count,
    "private_schema": parsing.parse_name,
}
"""The settings by the names that users write, each with what turns its text into its value."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """A setting's text and where it stood."""

    text: str
    source: str


def read_settings(
    x_arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    section: Mapping[str, str] | None = None,
    *,
    only_ours: bool = False,
) -> Settings:
    """Return the settings that these sources give together.

    `only_ours` also complains about `-x` names that are no settings: right in an env.py of ours, wrong in a
    project where other tools take `-x` too. An empty environment variable counts as unset.

    Raises SettingsError with every problem at once.
    """
    environment, section = environment or {}, section or {}
    unknown = [
        *_unknown_x(x_arguments if only_ours else ()),
        *_repeated_x(x_arguments),
        *_unknown_variables(environment),
        *_unknown_keys(section),
    ]
    given = _given(x_arguments, environment, section)
    values, faults = _parsed(given)
    try:
        settings = Settings(**_fields(values))
    except SettingsError as error:
        raise SettingsError([*unknown, *faults, *(_placed(problem, given) for problem in error.problems)]) from None
    if unknown or faults:
        raise SettingsError([*unknown, *faults])
    return settings


def unknown_name(written: str, name: str, valid: Iterable[str]) -> Problem:
    """Return the complaint about a name that is no setting: the nearest one, and all of them."""
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=1)
    suggestion = f"did you mean {near[0]}? " if near else ""
    return Problem(name=written, fault=f"is no setting; {suggestion}valid: {', '.join(names)}")


def _given(x_arguments: Sequence[str], environment: Mapping[str, str], section: Mapping[str, str]) -> dict[str, Given]:
    found = {name: Given(text=text, source=f"[{SECTION}] in alembic.ini") for name, text in section.items()}
    for name in PARSERS:
        if text := environment.get(PREFIX + name.upper()):
            found[name] = Given(text=text, source=f"environment {PREFIX}{name.upper()}")
    for argument in x_arguments:
        name, _, text = argument.partition("=")
        found[name] = Given(text=text, source="-x")
    return {name: given for name, given in found.items() if name in PARSERS}


def _parsed(given: Mapping[str, Given]) -> tuple[dict[str, object], list[Problem]]:
    values: dict[str, object] = {}
    faults: list[Problem] = []
    for name, found in given.items():
        try:
            values[name] = PARSERS[name](found.text)
        except ValueError as error:
            faults.append(Problem(name=name, value=_without_conditions(found.text), fault=str(error), source=found.source))
    return values, faults


def _fields(values: Mapping[str, object]) -> dict[str, Any]:
    fields = dict(values)
    workspace = fields.pop("workspace_column", Settings.columns[0])
    phone = fields.pop("phone_column", Settings.columns[1])
    return {**fields, "columns": (workspace, phone)}


def _placed(problem: Problem, given: Mapping[str, Given]) -> Problem:
    found = given.get(problem.name) or (given.get("phone_column") if problem.name == "columns" else None)
    return replace(problem, source=found.source) if found else problem


def _without_conditions(text: str) -> str:
    # A condition or an order is SQL of the user's: whatever it quotes may be a phone number.
    return "'...'".join(text.split("'")[::2])


def _unknown_x(x_arguments: Iterable[str]) -> Iterator[Problem]:
    for argument in x_arguments:
        name = argument.partition("=")[0]
        if name not in PARSERS:
            yield unknown_name(f"-x {shown(name)}", name, PARSERS)


def _repeated_x(x_arguments: Iterable[str]) -> Iterator[Problem]:
    """The last one would win, and what the others said be forgotten."""
    names = Counter(argument.partition("=")[0] for argument in x_arguments)
    for name, count in names.items():
        if count > 1 and name in PARSERS:
            yield Problem(name=f"-x {name}", fault="is given twice; give all of it at once, as docs/settings.md shows")


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[Problem]:
    valid = [PREFIX + name.upper() for name in PARSERS]
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in valid:
            yield unknown_name(f"environment variable {shown(name)}", name, valid)


def _unknown_keys(section: Mapping[str, str]) -> Iterator[Problem]:
    for name in section:
        if name not in PARSERS:
            yield unknown_name(f"{shown(name)} in [{SECTION}] in alembic.ini", name, PARSERS)
