"""Turns what a batch must not do into reasons, each with its way on."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..catalog.facts import Table
from ..errors import Reason
from ..settings_parsing import dotted
from .resolve import Tally


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One kind of problem: the count in a tally, and its words. ``{rows}``, ``{table}`` and ``{setting}`` are filled in."""

    code: str
    count: str
    problem: str
    way_on: str


PROBLEMS = (
    Problem(
        code="collision",
        count="different",
        problem='{rows} of "{table}" would collide with another row under a unique key and say different things',
        way_on="change them by hand, or set collisions = {setting}=merge to keep the survivor's rows and archive the others",
    ),
    Problem(
        code="keyless_child",
        count="keyless",
        problem='{rows} of "{table}" would collide under a unique key, and without a primary key they could not be told '
        "apart",
        way_on='give "{table}" a primary key',
    ),
    Problem(
        code="contradiction",
        count="contradictions",
        problem='in {rows} of "{table}" references share a column and would need different values in it',
        way_on="change these rows by hand so that their references agree, or drop one of the references",
    ),
    Problem(
        code="survivor_without_key",
        count="unkeyed",
        problem='in {rows} of "{table}" a reference holds a key of a duplicate that its survivor lacks',
        way_on="give the survivors that key, or choose others by survivor_order",
    ),
    Problem(
        code="cycle",
        count="cyclic",
        problem='references run in a circle: in {rows} further up one leads to a row of "{table}" that would be merged',
        way_on='merge the colliding rows of "{table}" by hand first',
    ),
    Problem(
        code="own_collision",
        count="own_collisions",
        problem='in {rows} of "{table}" a column of a unique key refers to a duplicate of the same table',
        way_on="change these references by hand first",
    ),
    Problem(
        code="stranded",
        count="stranded",
        problem='{rows} of "{table}" would be merged while the key that they hold moves',
        way_on="merge these rows by hand first",
    ),
    Problem(
        code="blocked_key",
        count="blocked",
        problem='{rows} of "{table}" would need a unique key of a row that is merged because of another key',
        way_on="merge these rows by hand first",
    ),
)


def reasons_of(tallies: Sequence[Tally], decided: frozenset[int]) -> list[Reason]:
    """Every reason these tallies give to refuse; ``decided`` are tables whose colliding rows may differ."""
    return [
        worded(kind, tally.node.table, rows(getattr(tally, kind.count)))
        for tally in tallies
        for kind in PROBLEMS
        if getattr(tally, kind.count) and not (kind.code == "collision" and tally.node.table.oid in decided)
    ]


def worded(kind: Problem, table: Table, rows: str) -> Reason:
    """Word a problem for ``rows`` of a table, such as ``2 rows``."""
    words = {
        "rows": rows,
        "table": table.label,
        "setting": dotted(table.schema, table.name),
    }
    return Reason(problem=kind.problem.format(**words), way_on=kind.way_on.format(**words), code=kind.code)


def rows(count: int) -> str:
    """Word a count: ``1 row``, ``2 rows``."""
    return "1 row" if count == 1 else f"{count} rows"
