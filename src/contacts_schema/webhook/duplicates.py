"""Tells our constraint's rejections from every other error, whichever client raised them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["has_code", "is_duplicate"]

_UNIQUE_VIOLATION: Final = "23505"


def is_duplicate(error: BaseException, constraint_name: str = "unique_phone_workspace") -> bool:
    """Whether `error` says that this constraint, its index or the upgrade's guard rejected a row.

    Takes the errors of psycopg, psycopg2 and asyncpg, SQLAlchemy's around them, and PostgREST's `APIError`. The name may
    have numbers behind it, as a shard's or a partition's own constraint has, or `_ccold`, as while it is reindexed.
    """
    name = re.compile(rf"{re.escape(constraint_name)}(?:_\d+|_cc(?:new|old)\d*)*")
    return any(_code(each) == _UNIQUE_VIOLATION and _names(each, name) for each in _errors(error))


def has_code(error: BaseException, *codes: str) -> bool:
    """Whether the server gave one of these codes (SQLSTATE)."""
    return any(_code(each) in codes for each in _errors(error))


def _errors(error: BaseException) -> Iterator[Any]:
    """The error, and the driver's where SQLAlchemy has wrapped it, once or, with asyncpg, twice."""
    yield error
    if (wrapped := getattr(error, "orig", None)) is not None:
        yield wrapped
        yield getattr(wrapped, "__cause__", None)


def _code(error: Any) -> Any:
    """psycopg and asyncpg say sqlstate, psycopg2 pgcode, PostgREST code."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or getattr(error, "code", None)


def _names(error: Any, name: re.Pattern[str]) -> bool:
    diagnostics = getattr(error, "diag", error)
    given = getattr(diagnostics, "constraint_name", None)
    if given is not None:
        return isinstance(given, str) and name.fullmatch(given) is not None
    # PostgREST passes on the server's message alone, in the server's language, where the name stands in some quotes.
    message = getattr(error, "message", None)
    return isinstance(message, str) and re.search(rf"(?<![\w$]){name.pattern}(?![\w$])", message) is not None
