"""Turns what a batch must not do into reasons, each with its way on."""

from collections.abc import Iterator, Sequence

from ..errors import Reason
from ..settings_parsing import dotted
from .resolve import Tally


def reasons_of(tallies: Sequence[Tally], decided: frozenset[int] = frozenset()) -> list[Reason]:
    """Every reason these tallies give to refuse; ``decided`` are tables whose colliding rows may differ."""
    return [reason for tally in tallies for reason in (*_of_rows(tally, decided), *_of_references(tally))]


def _of_rows(tally: Tally, decided: frozenset[int]) -> Iterator[Reason]:
    """Rows that would be merged and must not be."""
    table = tally.node.table
    if tally.different and table.oid not in decided:
        yield Reason(
            problem=f'{rows(tally.different)} of "{table.label}" would collide with another row under a unique key '
            "and say different things",
            way_on=f"change them by hand, or set collisions = {dotted(table.schema, table.name)}=merge to keep the "
            "survivor's rows and archive the others",
            code="collision",
        )
    if tally.keyless:
        yield Reason(
            problem=f'{rows(tally.keyless)} of "{table.label}" would collide under a unique key, and without a primary '
            "key they could not be told apart",
            way_on=f'give "{table.label}" a primary key',
            code="keyless_child",
        )
    if tally.blocked:
        yield Reason(
            problem=f'{rows(tally.blocked)} of "{table.label}" would need a unique key of a row that is merged because '
            "of another key",
            way_on="merge these rows by hand first",
            code="blocked_key",
        )


def _of_references(tally: Tally) -> Iterator[Reason]:
    """References that cannot be moved."""
    label = tally.node.table.label
    if tally.contradictions:
        yield Reason(
            problem=f'in {rows(tally.contradictions)} of "{label}" references share a column and would need different '
            "values in it",
            way_on="change these rows by hand so that their references agree",
            code="contradiction",
        )
    if tally.unkeyed:
        yield Reason(
            problem=f'in {rows(tally.unkeyed)} of "{label}" a reference holds a key of a duplicate that its survivor lacks',
            way_on="give the survivors that key, or choose others by survivor_order",
            code="survivor_without_key",
        )
    if tally.cyclic:
        yield Reason(
            problem=f"references run in a circle: in {rows(tally.cyclic)} further up one leads to a row of "
            f'"{label}" that would be merged',
            way_on=f'merge the colliding rows of "{label}" by hand first',
            code="cycle",
        )
    if tally.own_collisions:
        yield Reason(
            problem=f'in {rows(tally.own_collisions)} of "{label}" a column of a unique key refers to a duplicate of '
            "the same table",
            way_on="change these references by hand first",
            code="own_collision",
        )


def rows(count: int) -> str:
    """Word a count: ``1 row``, ``2 rows``."""
    return "1 row" if count == 1 else f"{count} rows"
