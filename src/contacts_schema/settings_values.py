"""What an operation's arguments may be: text as in the settings, or Python's own values."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from typing import Final, TypeVar

from contacts_schema.settings import Reference
from contacts_schema.settings_parsing import count_fault
from contacts_schema.settings_sources import PARSERS, parse_references

T = TypeVar("T")

_NAMES: Final = "takes text or a list of names"
_TEXT: Final = "takes text"
_REFERENCES: Final = (
    'takes text or a list of texts, each "[schema.]table.column [-> [schema.]table[.column]] [where CONDITION]"'
)
_COLUMNS: Final = 'takes text or a list of texts, each "[schema.]table.column"'
_COLLISIONS: Final = 'takes text or a dict of tables, each with "merge" or "refuse"'


def value_of(name: str, given: object) -> object:
    """Return the value of the setting `name`. Raises ValueError, which says what was expected."""
    return PARSERS[name](given) if isinstance(given, str) else _READERS[name](given)


def text_of(given: object) -> str:
    """Return `given`, which has to be text. Raises ValueError."""
    return _only(given, str, _TEXT)


def names_of(given: object) -> tuple[str, ...]:
    """Return names as they are given, one or a list of them. Raises ValueError."""
    names = (given,) if isinstance(given, str) else tuple(_items(given, _NAMES))
    return tuple(_only(name, str, _NAMES) for name in names)


def _references(given: object) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for item in [given] if isinstance(given, Reference) else _items(given, _REFERENCES):
        found += parse_references(item) if isinstance(item, str) else (_reference(item),)
    return tuple(found)


def _reference(item: object) -> Reference:
    reference = _only(item, Reference, _REFERENCES)
    _texts((reference.table, reference.column), _REFERENCES)
    _texts([part for part in astuple(reference) if part is not None], _REFERENCES)
    return reference


def _columns(given: object) -> tuple[object, ...]:
    return tuple(_triples("ignore_references", given, _COLUMNS))


def _collisions(given: object) -> tuple[object, ...]:
    if isinstance(given, Mapping):
        _texts([*given, *given.values()], _COLLISIONS)
        given = [f"{table}={action}" for table, action in given.items()]
    return tuple(_triples("collisions", given, _COLLISIONS))


def _triples(name: str, given: object, expected: str) -> Iterator[object]:
    """Text entries, or (schema or None, name, name)."""
    for item in _items(given, expected):
        if isinstance(item, str):
            yield from _parsed(name, item)
            continue
        parts = tuple(_items(item, expected))
        if len(parts) != 3:
            raise ValueError(expected)
        _texts(parts[1:] if parts[0] is None else parts, expected)
        yield parts


def _count(given: object) -> object:
    if fault := count_fault(given):
        raise ValueError(fault)
    return given


def _items(given: object, expected: str) -> list[object]:
    return list(given if isinstance(given, tuple) else _only(given, list, expected))


def _texts(given: list[object] | tuple[object, ...], expected: str) -> None:
    for item in given:
        _only(item, str, expected)


def _only(item: object, kind: type[T], expected: str) -> T:
    if not isinstance(item, kind):
        raise ValueError(expected)  # noqa: TRY004 - like every complaint about a setting's value
    return item


def _parsed(name: str, text: str) -> list[object]:
    found = PARSERS[name](text)
    assert isinstance(found, tuple)
    return list(found)


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "survivor_order": text_of,
    "fill": names_of,
    "references": _references,
    "ignore_references": _columns,
    "collisions": _collisions,
    "blank_phones": text_of,
    "batch_size": _count,
    "lock_timeout": _count,
    "lock_attempts": _count,
    "private_schema": text_of,
}
