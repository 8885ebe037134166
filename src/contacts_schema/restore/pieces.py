"""Does as much as the data allows: what a row's fault stops as a whole goes on in halves, as long as that helps."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

# Data that does not fit any more: a value out of range, a constraint. Everything else is no row's fault, ...
_ROW_FAULTS = ("22", "23")
# ... but where a column has another type since, or may not be written: then none of the rows fits.
_COLUMN_FAULTS = {"42804", "42846", "42883", "428C9"}
_NOT_NULL = "23502"

P = TypeVar("P", bound=Hashable)

Piece = tuple[tuple[int, int], ...]
"""Rows of journals, each with its relation before it."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Which constraint or which code refused a row; ``whole`` where it is no single row's."""

    why: str
    whole: bool


def refused(
    connection: Connection[Any], attempt: Callable[[], object], given: Collection[str | None] | None = None
) -> Refusal | None:
    """Attempt something in a savepoint; gives what refused it, None if nothing did.

    With the names of the columns that rows are ``given``, another one that may not be empty is no single row's fault.
    """
    try:
        with connection.transaction():
            attempt()
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state[:2] not in _ROW_FAULTS and state not in _COLUMN_FAULTS:
            raise
        lacking = state == _NOT_NULL and given is not None and error.diag.column_name not in given
        return Refusal(why=_why(error), whole=lacking or state in _COLUMN_FAULTS)
    return None


def _why(error: psycopg.Error) -> str:
    """Names and the code; the server's message may hold the row's values."""
    name = error.diag.constraint_name or error.diag.column_name
    return f"{name} (SQLSTATE {error.sqlstate})" if name else f"SQLSTATE {error.sqlstate}"


def as_far_as_possible(pieces: Iterable[P], attempt: Callable[[Sequence[P]], Refusal | None]) -> dict[P, str]:
    """Attempt the pieces, again as long as that helps: one may wait for another. Gives what is left and why."""
    left = list(pieces)
    while left:
        faults = _halved(left, attempt)
        if len(faults) == len(left):
            return faults
        left = list(faults)
    return {}


def _halved(pieces: Sequence[P], attempt: Callable[[Sequence[P]], Refusal | None]) -> dict[P, str]:
    """All together, else each half: few faults among many pieces are found in few attempts."""
    refusal = attempt(pieces)
    if refusal is None:
        return {}
    if len(pieces) == 1 or refusal.whole:
        return dict.fromkeys(pieces, refusal.why)
    middle = len(pieces) // 2
    return _halved(pieces[:middle], attempt) | _halved(pieces[middle:], attempt)


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
