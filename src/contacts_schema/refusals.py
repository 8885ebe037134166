"""What the catalog alone forbids, each with its way on: the table itself and the role. Pure."""

from collections.abc import Iterator, Sequence

from .catalog.facts import Facts, Table
from .errors import Reason
from .merge.tree import Tree
from .refusals_of_tables import foreign_key_reasons, ownership, table_reasons
from .settings import Settings

# Reasons that matter only where there is something to merge. A table that is unique already needs none of it.
MERGING = frozenset(
    {
        "bad_reference", "blocked_key", "child_kind", "child_owner", "collision", "contradiction", "cycle", "check",
        "disabled_foreign_key", "exclusion", "foreign_key", "generated_reference", "inherits", "invalid_index",
        "key_reference", "keyless_child", "misfit", "missing_partition", "no_index", "no_replica_identity",
        "own_collision", "partition_foreign_key", "partition_trigger", "rehearsal", "rule", "stranded",
        "survivor_without_key", "suspect", "trigger", "unseen", "untaken", "update_action",
    }
)  # fmt: skip

_NOT_TABLES = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


def refusals(facts: Facts, settings: Settings, target: Table, key: Sequence[int], tree: Tree) -> Iterator[Reason]:
    """Every reason to refuse that shows without looking at the rows."""
    yield from _kind(target)
    if target.kind == "r":
        yield from _key(target, key)
        yield from _moving_key(tree, key)
        yield from _ownership(facts, target)
        yield from _database_rights(facts, settings)
        for node in tree.nodes:
            yield from table_reasons(facts.role.name, node, tree)
        yield from foreign_key_reasons(facts, tree)


def _kind(table: Table) -> Iterator[Reason]:
    later = "nothing was changed; wait for a version that supports this, or merge by hand"
    if table.distributed:
        yield _reason("distributed", f'"{table.label}" is distributed by Citus, which is not supported yet', later)
    elif table.kind == "p":
        yield _reason("partitioned", f'"{table.label}" is a partitioned table, which is not supported yet', later)
    elif table.is_partition:
        yield _reason("partition", f'"{table.label}" is a partition, and these are not supported yet', later)
    elif table.kind in _NOT_TABLES:
        yield _reason(
            "not_a_table", f'"{table.label}" is {_NOT_TABLES[table.kind]}', "set table to the table that its rows are in"
        )


def _key(table: Table, key: Sequence[int]) -> Iterator[Reason]:
    if not table.primary_key:
        yield _reason(
            "no_primary_key",
            f'"{table.label}" has no primary key: its rows could be neither told apart nor brought back',
            "add a primary key",
        )
    for number in key:
        column = table.by_number[number]
        if column.equality is None:
            yield _reason(
                "not_comparable",
                f'column "{column.name}" of "{table.label}" has the type {column.type}, which cannot be unique',
                "change its type",
            )
        if column.generated == "v":
            yield _reason(
                "virtual",
                f'column "{column.name}" of "{table.label}" is virtual, and a unique constraint needs a stored one',
                "make it a stored column",
            )


def _moving_key(tree: Tree, key: Sequence[int]) -> Iterator[Reason]:
    for number in sorted({*tree.root.own_moved} & {*key}):
        column, label = tree.root.table.by_number[number], tree.root.table.label
        yield _reason(
            "key_reference",
            f'column "{column.name}" of "{label}" belongs to the key and refers to "{label}" itself: each merge would '
            "change keys, and make new duplicates",
            "nothing was changed; merge by hand",
        )


def _ownership(facts: Facts, table: Table) -> Iterator[Reason]:
    role = facts.role.name
    if not table.owned:
        yield _reason(
            "not_owner",
            f'role "{role}" does not own "{table.label}"',
            f"run as its owner, or: {ownership(table, role)}",
        )
    if not table.schema_create:
        yield _grant("CREATE ON SCHEMA", table.schema, role, "an index is made there")


def _database_rights(facts: Facts, settings: Settings) -> Iterator[Reason]:
    role, private = facts.role, facts.private_schema
    if private is None and not role.can_create_schema:
        yield _grant("CREATE ON DATABASE", role.database, role.name, "the archive is a schema of its own")
    if private is not None and not (private.owned and private.ours):
        yield _reason(
            "private_schema",
            f'the schema "{settings.private_schema}" is somebody else\'s',
            "set private_schema to a name that is free",
        )
    if not role.can_create_temp:
        yield _grant("TEMPORARY ON DATABASE", role.database, role.name, "work lists are temporary tables")


def _grant(right: str, name: str, role: str, why: str) -> Reason:
    return _reason("rights", f'role "{role}" lacks {right} "{name}": {why}', f'GRANT {right} "{name}" TO "{role}"')


def _reason(code: str, problem: str, way_on: str) -> Reason:
    return Reason(problem=problem, way_on=way_on, code=code)
