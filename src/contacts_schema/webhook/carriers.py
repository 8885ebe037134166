"""Carries steps out: sends each statement, hands its rows or its error back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from contacts_schema.webhook.statements import Statement
    from contacts_schema.webhook.steps import Rows, Steps

__all__ = ["Maker", "awaiting", "waiting"]

T = TypeVar("T")
# Makes the steps; told whether no transaction is open and none will be: the connection is in autocommit.
Maker: TypeAlias = "Callable[[bool], Steps[T]]"


def waiting(steps: Steps[T], send: Callable[[Statement], Rows]) -> T:
    """Send one statement after the other until the steps end with a result."""
    try:
        statement = next(steps)
        while True:
            try:
                rows = send(statement)
            except BaseException as error:  # noqa: BLE001 - the steps decide, and clean up where they are interrupted
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


async def awaiting(steps: Steps[T], send: Callable[[Statement], Awaitable[Rows]]) -> T:
    """The same where each has to be awaited."""
    try:
        statement = next(steps)
        while True:
            try:
                rows = await send(statement)
            except BaseException as error:  # noqa: BLE001 - the steps decide, and clean up where they are interrupted
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result
