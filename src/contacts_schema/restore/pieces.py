"""Does as much as the data allows: what a row's fault stops as a whole goes on in pieces, each as long as that helps."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

# Data that does not fit any more: a value out of range, a constraint. Everything else is no row's fault.
_ROW_FAULTS = ("22", "23")

P = TypeVar("P", bound=Hashable)

Piece = tuple[tuple[int, int], ...]
"""Rows of journals, each with its relation before it."""


def refused(connection: Connection[Any], attempt: Callable[[], object]) -> str | None:
    """Attempt something in a savepoint; gives which constraint or which code refused a row of it, None if nothing did."""
    try:
        with connection.transaction():
            attempt()
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate[:2] not in _ROW_FAULTS:
            raise
        return _why(error)
    return None


def _why(error: psycopg.Error) -> str:
    """Names and the code; the server's message may hold the row's values."""
    name = error.diag.constraint_name or error.diag.column_name
    return f"{name} (SQLSTATE {error.sqlstate})" if name else f"SQLSTATE {error.sqlstate}"


def as_far_as_possible(pieces: Iterable[P], attempt: Callable[[P], str | None]) -> dict[P, str]:
    """Attempt every piece, again as long as that helps: one may wait for another. Gives what is left and why."""
    left = dict.fromkeys(pieces, "")
    while True:
        faults = {piece: why for piece in left if (why := attempt(piece)) is not None}
        if len(faults) in (0, len(left)):
            return faults
        left = faults


def units(rows: Mapping[tuple[int, int], Iterable[int]]) -> list[Piece]:
    """The rows that belong together, because they share one of their numbers or a chain of such rows leads from one to
    the other. A row without numbers is a unit of its own.
    """
    found: list[tuple[set[tuple[int, int]], set[int]]] = []
    by_number: dict[int, tuple[set[tuple[int, int]], set[int]]] = {}
    for row, numbers in rows.items():
        unit = ({row}, set(numbers))
        for members, theirs in {id(u): u for n in numbers if (u := by_number.get(n))}.values():
            unit[0].update(members)
            unit[1].update(theirs)
            members.clear()
        by_number |= dict.fromkeys(unit[1], unit)
        found.append(unit)
    return [tuple(sorted(members)) for members, _ in found if members]
