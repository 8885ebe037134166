"""The steps that an upgrade will take, with their locks, and a guess at how long they last. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from ..plan import Plan
from .figures import Change, Step

# On a machine with two cores, from docs/benchmarks.md: reading, grouping and indexing a row; merging or moving one.
_SECONDS_AT_LEAST: Final = 2.0
_SECONDS_A_ROW: Final = 4e-6
_SECONDS_A_CHANGE: Final = 30e-6

_NOTHING: Final = "nothing"
_SHORT: Final = "wait for at most lock_timeout and a catalog change"


def steps_for(plan: Plan, duplicates: int) -> Iterator[Step]:
    """What is to be done, in its order, by the catalog as it is now."""
    label = plan.target.label if plan.target else ""
    yield Step(name="create the archive", lock="none on your tables", writers=_NOTHING)
    if plan.lookup_index is None:
        yield _concurrently("build a lookup index", label)
    if plan.settings.blank_phones == "null":
        yield Step(name="turn blank phones into NULL, and go on doing so", lock=_trigger(label), writers=_SHORT)
    yield Step(
        name="keep new duplicates out",
        lock=_trigger(label),
        writers=f"{_SHORT}; from then on 23505 for a new duplicate",
    )
    if duplicates:
        yield from _merging(plan, duplicates)
    yield _concurrently("build the unique index", label)
    yield Step(name="make it the constraint", lock=f"ACCESS EXCLUSIVE on {label}", writers=f"{_SHORT}, readers too")
    if plan.lookup_index is None:
        yield _concurrently("drop the lookup index", label)


def _merging(plan: Plan, duplicates: int) -> Iterator[Step]:
    nodes = plan.tree.nodes if plan.tree else ()
    if len(nodes) > 1:
        yield Step(
            name="lead references to merged rows to their survivors",
            lock="SHARE ROW EXCLUSIVE on each referring table, one after the other",
            writers=_SHORT,
        )
    count = "1 row" if duplicates == 1 else f"{duplicates:,} rows"
    yield Step(
        name=f"merge {count}, in batches of about 25 ms",
        lock=f"ROW EXCLUSIVE on {len(nodes)} tables, and the rows of the batch" if len(nodes) > 1 else "the batch's rows",
        writers="a write to a row of the batch waits for its end",
    )


def _concurrently(name: str, label: str) -> Step:
    return Step(name=name, lock=f"SHARE UPDATE EXCLUSIVE on {label}", writers=_NOTHING)


def _trigger(label: str) -> str:
    return f"SHARE ROW EXCLUSIVE on {label}"


def seconds_for(rows: float, changes: Sequence[Change]) -> float:
    """Guess the duration in seconds: the order of magnitude, and no more."""
    changed = sum(change.changed + change.merged for change in changes)
    return round(_SECONDS_AT_LEAST + max(rows, 0) * _SECONDS_A_ROW + changed * _SECONDS_A_CHANGE, 1)
