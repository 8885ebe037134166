"""What the new images of rows would violate: CHECKs, exclusion constraints, other foreign keys, missing partitions."""

from collections.abc import Callable, Iterator

from psycopg import sql

from .catalog.facts import Index
from .compose import Fragment, comma, every, fragment, ident, some, template
from .errors import Reason
from .merge.collisions import Collisions
from .merge.problems import rows
from .merge.statements import SQL

Count = Callable[[sql.Composed], int]


def violations(collisions: Collisions, count: Count) -> Iterator[Reason]:
    """Every reason that one table's worked-out rows give; ``count`` runs a SELECT count(*)."""
    node, table = collisions.node, collisions.node.table
    for check in table.checks:
        condition = template("({})").format(fragment(check.expression))
        if set(node.changed) & set(check.columns) and (found := _violating(collisions, condition, count)):
            yield _violation("check", check.name, table.label, found)
    for need in node.needs:
        if found := _violating(collisions, template("({})").format(fragment(need.expression)), count):
            yield _violation("foreign_key", need.name, table.label, found)
    if found := _homeless(collisions, count):
        yield Reason(
            problem=f'moving references would leave {rows(found)} of "{table.label}" without a partition to be in',
            way_on="add the partitions that the survivors' keys need, or a default one",
            code="missing_partition",
        )
    for index in node.exclusions:
        if found := _excluded(collisions, index, count):
            yield _violation("exclusion", index.name, table.label, found)


def _violating(collisions: Collisions, condition: Fragment, count: Count) -> int:
    """Rows of which the condition will be false."""
    image = collisions.images.projected(collisions.node.changed)
    return count(SQL["violated_check"].format(image=image, expression=condition))


def _homeless(collisions: Collisions, count: Count) -> int:
    """Rows that no partition would take once they are moved."""
    table = collisions.node.table
    conditions = [condition for condition in table.partitions if condition is not None]
    decides = {0, *collisions.node.changed} & set(table.partitioned_by)
    if not decides or len(conditions) < len(table.partitions):
        return 0
    return _violating(collisions, some(fragment(condition) for condition in conditions), count)


def _excluded(collisions: Collisions, index: Index, count: Count) -> int:
    """Pairs that exclude each other, of rows that move with rows that stay and among themselves."""
    keys = [template("({}) AS {}").format(fragment(key), ident(f"~k{i}")) for i, key in enumerate(index.keys)]
    shared = {"image": collisions.images.projected(), "keys": comma(keys), "indexed": collisions.indexed(index)}
    against = SQL["violated_exclusion"].format(
        **shared,
        table=collisions.of_node.table,
        name=collisions.of_node.name,
        rows=collisions.of_node.rows,
        joined=collisions.equal(index, "~q"),
        predicate=collisions.predicate(index),
    )
    among = SQL["violated_exclusion_among"].format(**shared, joined=_excluding(index))
    return count(against) + count(among)


def _excluding(index: Index) -> Fragment:
    return every(
        template('"~q".{} {} "~q2".{}').format(ident(f"~k{i}"), fragment(operator or "="), ident(f"~k{i}"))
        for i, operator in enumerate(index.equality)
    )


def _violation(code: str, name: str, label: str, count: int) -> Reason:
    return Reason(
        problem=f'moving references would make {rows(count)} of "{label}" violate "{name}"',
        way_on=f'change these rows by hand first, or drop "{name}"',
        code=code,
    )
