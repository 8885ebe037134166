"""What was done to other rows later and is not undone: whoever depends on it stays. Composes conditions on ``~j``."""

from collections.abc import Callable, Iterator, Sequence

from ..compose import TRUE, Fragment, comma, differ, every, fragment, ident, template
from ..merge.joins import condition, refers
from ..merge.statements import new, of, old
from ..merge.tree import Edge
from .sources import Source

LATER = template('({} AND EXISTS (SELECT FROM {} AS "~s" WHERE "~s"."~op" > "~j"."~op" AND {}))')
"""Whether any is left, of which relation, which of its rows."""


def without_parent(
    source: Source, above: Sequence[tuple[Edge, Source]], is_left: Callable[[Source], Fragment] = lambda _: TRUE
) -> Iterator[Fragment]:
    """A row that an archived one refers to went later, and is not back: another may have its key by now.

    ``above`` are archives and journals of tables that this one refers to. Of a journal ``is_left`` asks the server whether
    anything is left, where only that will know.
    """
    for edge, other in above:
        same, gone = _same(source, edge, other), _gone(other, edge)
        if same is not None and gone is not None:
            any_left = TRUE if other.kind == "archive" else is_left(other)
            left = LATER.format(any_left, other.relation, every([same, gone]))
            yield template("({} AND {})").format(_condition(source, edge), left)


def _same(source: Source, edge: Edge, other: Source) -> Fragment | None:
    """``~j`` refers to ``~s``, as both were; None where one of the columns is not known of then."""
    if not all(pair.parent in other.then and pair.child in source.then for pair in edge.pairs):
        return None
    return refers(edge, lambda n: other.held("~s", other.then[n]), lambda n: source.held("~j", source.then[n]))


def _gone(other: Source, edge: Edge) -> Fragment | None:
    """The row, or the key that it had; None where a journal tells of other columns alone."""
    if other.kind == "archive":
        return TRUE
    changed = [n for pair in edge.pairs if (n := other.then.get(pair.parent)) in other.numbers and n is not None]
    return differ([of("~s", old(n)) for n in changed], [of("~s", new(n)) for n in changed]) if changed else None


def _condition(source: Source, edge: Edge) -> Fragment:
    """A declared condition, over the row as it was archived: it may qualify columns with the table's name.

    Of a column that has come since nothing is known; then the row is taken to refer.
    """
    if edge.condition is None or source.table is None:
        return TRUE
    values, then = [], source.then
    for column in source.table.columns:
        unknown = template("NULL::{}").format(fragment(column.type))
        value = source.held("~j", then[column.number]) if column.number in then else unknown
        values.append(template("{} AS {}").format(value, ident(column.name)))
    return template("(SELECT {} {} FROM (SELECT {}) AS {})").format(
        condition(edge),
        template("IS TRUE" if len(then) == len(values) else "IS NOT FALSE"),
        comma(values),
        ident(source.table.name),
    )
