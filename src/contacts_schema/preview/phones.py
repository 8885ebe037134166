"""Which columns cannot hold a phone number, by their type. Pure."""

from ..catalog.facts import Column

_CATEGORIES = frozenset("BDRTU")
_TYPES = frozenset({"uuid", "bytea"})


def has_no_phone(column: Column) -> bool:
    """Dates, times, booleans and the like; of the types without a category only those that are known to hold none."""
    return column.base_type in _TYPES if column.category == "U" else column.category in _CATEGORIES
