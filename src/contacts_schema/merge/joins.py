"""Rows that refer to each other, as conditions: the operators, casts and conditions of one reference."""

from collections.abc import Callable

from ..compose import TRUE, Fragment, every, fragment, template
from .tree import Edge, Pair

Columns = Callable[[int], Fragment]
"""A row, by the numbers of its columns."""


def refers(edge: Edge, parent: Columns, child: Columns) -> Fragment:
    """parent = child over the columns of a reference, with the operators of the foreign key."""
    return every(
        template("{} {} {}").format(cast(pair, parent(pair.parent)), fragment(pair.equality), child(pair.child))
        for pair in edge.pairs
    )


def cast(pair: Pair, value: Fragment) -> Fragment:
    """The parent's value as the column that refers to it would hold it."""
    return template("CAST({} AS {})").format(value, fragment(pair.cast)) if pair.cast else value


def condition(edge: Edge) -> Fragment:
    """Which rows refer at all, as the user declared it; it may qualify columns with the child's bare name."""
    return template("({})").format(fragment(edge.condition)) if edge.condition else TRUE
