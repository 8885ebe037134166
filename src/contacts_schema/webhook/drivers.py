"""Finds out whose connection it is."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from contacts_schema.webhook.carriers import Maker

__all__ = ["run"]

T = TypeVar("T")
_LIBRARIES: Final = ("psycopg", "sqlalchemy")


def run(connection: Any, steps: Maker[T]) -> T | Coroutine[Any, Any, T]:
    """Carry the steps out, at once or, on an asynchronous connection, when awaited. Raises TypeError for what is none."""
    for library in _LIBRARIES:
        # Whoever hands over one of its objects has imported it already; nobody else should wait for it, or need it.
        if library in sys.modules:
            carried = import_module(f"contacts_schema.webhook.with_{library}").run(connection, steps)
            if carried is not NotImplemented:
                result: T | Coroutine[Any, Any, T] = carried
                return result
    msg = (
        f"{type(connection).__module__}.{type(connection).__qualname__} is neither a connection of psycopg "
        "nor a Connection or Session of SQLAlchemy, nor an asynchronous one of these"
    )
    raise TypeError(msg)
