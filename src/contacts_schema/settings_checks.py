"""What has to be true of settings whatever way they came about."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from contacts_schema.errors import Problem
from contacts_schema.settings_parsing import count_fault, dotted, name_fault, sql_fault

if TYPE_CHECKING:
    from contacts_schema.settings import Reference, Settings

_T = TypeVar("_T", bound=Hashable)


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield everything that is wrong with `settings`."""
    yield from _name_problems(settings)
    yield from _key_problems(settings)
    yield from _number_problems(settings)
    yield from _sql_problems(settings)
    yield from _reference_problems(settings)
    yield from _collision_problems(settings)


def _name_problems(settings: Settings) -> Iterator[Problem]:
    single = {name: getattr(settings, name) for name in ("schema", "table", "constraint", "private_schema")}
    named = [
        *single.items(),
        *(("columns", name) for name in settings.columns),
        *(("fill", name) for name in settings.fill),
    ]
    for setting, name in named:
        if fault := name_fault(name):
            yield Problem(name=setting, value=name, fault=fault)
    if settings.private_schema == settings.schema:
        yield Problem(name="private_schema", value=settings.private_schema, fault="is the table's schema; give another")
    if settings.private_schema.startswith("pg_"):
        yield Problem(name="private_schema", value=settings.private_schema, fault='begins with "pg_", which is reserved')


def _key_problems(settings: Settings) -> Iterator[Problem]:
    if not settings.columns:
        yield Problem(name="columns", fault="are empty; name the key's columns, the phone last")
    for name in _repeated(settings.columns):
        yield Problem(name="columns", value=name, fault="is named twice; name each column of the key once")
    for name in _repeated(settings.fill):
        yield Problem(name="fill", value=name, fault="is named twice; name each column once")
    for name in sorted(set(settings.fill) & set(settings.columns)):
        yield Problem(name="fill", value=name, fault="belongs to the key, which is the same in all rows of a group")


def _number_problems(settings: Settings) -> Iterator[Problem]:
    for name in ("batch_size", "lock_timeout", "lock_attempts"):
        value = getattr(settings, name)
        if value is None and name == "batch_size":
            continue
        if fault := count_fault(value):
            yield Problem(name=name, value=str(value), fault=fault)
    if settings.blank_phones not in ("refuse", "null"):
        yield Problem(name="blank_phones", value=settings.blank_phones, fault='is neither "refuse" nor "null"')


def _sql_problems(settings: Settings) -> Iterator[Problem]:
    if settings.survivor_order is not None and (fault := sql_fault(settings.survivor_order)):
        yield Problem(name="survivor_order", value=settings.survivor_order, fault=fault)
    for reference in settings.references:
        if reference.condition is not None and (fault := sql_fault(reference.condition)):
            yield Problem(name="references", value=_source(reference), fault=f"has a condition that {fault}")


def _reference_problems(settings: Settings) -> Iterator[Problem]:
    for reference in settings.references:
        for fault in filter(None, map(name_fault, _names(reference))):
            yield Problem(name="references", value=_source(reference), fault=f"has a name that {fault}")
        if reference.condition is not None and "'...'" in reference.condition:
            fault = "has '...' in its condition; write the value that stands in the column for this table"
            yield Problem(name="references", value=_source(reference), fault=fault)
        if reference.target_table is None and (reference.target_schema or reference.target_column):
            yield Problem(name="references", value=_source(reference), fault="has a target without a table; name it")
        if (reference.target_table, reference.target_column) == (settings.schema, settings.table):
            fault = "has a target of two names, which are a table and its column; name schema, table and column"
            yield Problem(name="references", value=_source(reference), fault=fault)
    for reference in _repeated(settings.references):
        yield Problem(name="references", value=_source(reference), fault="is declared twice; declare it once")
    yield from _ignored_problems(settings)


def _ignored_problems(settings: Settings) -> Iterator[Problem]:
    declared = {(ref.schema or settings.schema, ref.table, ref.column) for ref in settings.references}
    for schema, table, column in settings.ignore_references:
        for fault in filter(None, map(name_fault, (table, column))):
            yield Problem(name="ignore_references", value=dotted(schema, table, column), fault=fault)
        if (schema or settings.schema, table, column) in declared:
            fault = "is declared in references too; choose one"
            yield Problem(name="ignore_references", value=dotted(schema, table, column), fault=fault)


def _collision_problems(settings: Settings) -> Iterator[Problem]:
    for schema, table, action in settings.collisions:
        if action not in ("refuse", "merge"):
            yield Problem(
                name="collisions",
                value=f"{dotted(schema, table)}={action}",
                fault='is neither "merge" nor "refuse"',
            )
    for schema, table in _repeated([(schema or settings.schema, table) for schema, table, _ in settings.collisions]):
        yield Problem(name="collisions", value=dotted(schema, table), fault="is named twice; name each table once")


def _names(reference: Reference) -> list[str]:
    optional = (reference.schema, reference.target_schema, reference.target_table, reference.target_column)
    return [reference.table, reference.column, *(name for name in optional if name is not None)]


def _source(reference: Reference) -> str:
    # Without the condition: it is SQL of the user's and may hold a phone number.
    return dotted(reference.schema, reference.table, reference.column)


def _repeated(values: Sequence[_T]) -> list[_T]:
    return sorted({value for value in values if values.count(value) > 1}, key=str)
