"""What the catalog alone forbids, each with its way on. Pure."""

from collections.abc import Iterator, Sequence

from .catalog.facts import Facts, Index, Table, Trigger
from .errors import Reason
from .merge.tree import Edge, Node, Tree
from .settings import Settings

# Reasons that matter only where there is something to merge. A table that is unique already needs none of it.
MERGING = frozenset(
    {
        "bad_reference", "child_kind", "child_owner", "collision", "contradiction", "cycle", "check", "child_rights",
        "disabled_foreign_key", "exclusion", "generated_reference", "inherits", "keyless_child", "no_index",
        "no_replica_identity", "own_collision", "partition_foreign_key", "rehearsal", "rule", "survivor_without_key",
        "suspect", "tilde", "trigger",
    }
)  # fmt: skip

# A scan of a table below this size for every batch is not noticed.
_SMALL_PAGES = 200


def refusals(
    facts: Facts, settings: Settings, target: Table, key: Sequence[int], tree: Tree
) -> Iterator[Reason]:
    """Every reason to refuse that shows without looking at the rows."""
    yield from _kind(target)
    if target.kind == "r":
        yield from _key(target, key)
        yield from _role(facts, settings, target)
        for node in tree.nodes:
            yield from _table(facts, node)
        yield from _foreign_keys(facts, tree)


def _kind(table: Table) -> Iterator[Reason]:
    kinds = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "p": "a partitioned table"}
    if table.distributed:
        yield _reason("distributed", f'"{table.label}" is distributed by Citus', "this is not supported yet")
    elif table.kind == "p":
        yield _reason("partitioned", f'"{table.label}" is a partitioned table', "this is not supported yet")
    elif table.is_partition:
        yield _reason("partition", f'"{table.label}" is a partition', "partitioned tables are not supported yet")
    elif table.kind in kinds:
        yield _reason("not_a_table", f'"{table.label}" is {kinds[table.kind]}', "name the table behind it")


def _key(table: Table, key: Sequence[int]) -> Iterator[Reason]:
    if not table.primary_key:
        yield _reason(
            "no_primary_key",
            f'"{table.label}" has no primary key',
            "add one: rows without an identity cannot be told apart, nor brought back",
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
            yield _reason("virtual", f'column "{column.name}" is virtual', "a unique constraint needs a stored column")


def _role(facts: Facts, settings: Settings, table: Table) -> Iterator[Reason]:
    role = facts.role
    if not table.owned:
        yield _reason(
            "not_owner",
            f'role "{role.name}" does not own "{table.label}"',
            f'run as its owner, or: GRANT its owner TO "{role.name}"',
        )
    if not table.schema_create:
        yield _grant("CREATE ON SCHEMA", table.schema, role.name, "an index is made there")
    if facts.private_schema is None and not role.can_create_schema:
        yield _grant("CREATE ON DATABASE", role.database, role.name, "the archive is a schema of its own")
    if facts.private_schema is not None and not (facts.private_schema.owned and facts.private_schema.ours):
        yield _reason(
            "private_schema",
            f'the schema "{settings.private_schema}" exists and is somebody else\'s',
            "choose another private_schema",
        )
    if not role.can_create_temp:
        yield _grant("TEMPORARY ON DATABASE", role.database, role.name, "work lists are temporary tables")


def _table(facts: Facts, node: Node) -> Iterator[Reason]:
    table = node.table
    yield from _rights(facts.role.name, node)
    if table.row_security_active:
        yield _reason(
            "row_security",
            f'row level security would hide rows of "{table.label}" from role "{facts.role.name}"',
            f'run as a role with BYPASSRLS, or: ALTER TABLE "{table.schema}"."{table.name}" NO FORCE ROW LEVEL SECURITY',
        )
    if table.has_heirs:
        yield _reason("inherits", f'"{table.label}" takes part in table inheritance', "merge its heirs by hand first")
    for rule in table.rules:
        yield _reason("rule", f'the rule "{rule}" on "{table.label}" rewrites its statements', "drop the rule")
    if table.kind not in "rp":
        yield _reason("child_kind", f'"{table.label}" is no table', "declare references of tables only")
    yield from _columns(node)
    yield from _triggers(node)
    yield from _keyless(node)
    yield from _unindexed(node)


def _rights(role: str, node: Node) -> Iterator[Reason]:
    table = node.table
    needed = {
        "USAGE": table.schema_usage,
        "SELECT": table.can_select,
        "UPDATE": table.can_update,
        "INSERT": table.can_insert or not node.merges,
        "DELETE": table.can_delete or not node.merges,
    }
    missing = [right for right, there in needed.items() if not there]
    if "USAGE" in missing:
        yield _grant("USAGE ON SCHEMA", table.schema, role, f'"{table.label}" refers to the contacts')
    if rights := ", ".join(right for right in missing if right != "USAGE"):
        yield _reason(
            "rights" if node.is_root else "child_rights",
            f'role "{role}" lacks {rights} on "{table.label}"',
            f'GRANT {rights} ON "{table.schema}"."{table.name}" TO "{role}"',
        )
    if not node.is_root and not table.owned and any(t.enabled != "D" for t in table.triggers):
        yield _reason(
            "child_owner",
            f'role "{role}" does not own "{table.label}", whose triggers must rest while it is brought back',
            f'run as its owner, or: GRANT its owner TO "{role}"',
        )


def _columns(node: Node) -> Iterator[Reason]:
    for number in node.changed:
        column = node.table.by_number[number]
        if column.generated or column.identity == "a":
            kind = "generated" if column.generated else "an identity that is GENERATED ALWAYS"
            yield _reason(
                "generated_reference",
                f'column "{column.name}" of "{node.table.label}" refers to a merged row and is {kind}',
                "it cannot be set: change the column's definition first",
            )
    for column in node.table.columns:
        if column.name.startswith("~"):
            yield _reason("tilde", f'a column of "{node.table.label}" begins with "~"', "rename it")


def _triggers(node: Node) -> Iterator[Reason]:
    for trigger in node.table.triggers:
        if trigger.enabled == "D":
            continue
        if trigger.function == "lo_manage" and trigger.on_delete and node.merges:
            yield _trigger(node, trigger, "unlinks a large object when its row is deleted: it could not come back")


def _trigger(node: Node, trigger: Trigger, what: str) -> Reason:
    return _reason("trigger", f'the trigger "{trigger.name}" on "{node.table.label}" {what}', "drop or disable it")


def _keyless(node: Node) -> Iterator[Reason]:
    table = node.table
    if table.primary_key or not node.changed:
        return
    if node.merges and not node.is_root:
        yield _reason(
            "keyless_child",
            f'"{table.label}" has no primary key, and a unique key of it holds a reference that moves',
            "give it a primary key",
        )
    if table.published and table.replica_identity in "dn":
        yield _reason(
            "no_replica_identity",
            f'"{table.label}" has no primary key and is published: PostgreSQL refuses to update it',
            f'ALTER TABLE "{table.schema}"."{table.name}" REPLICA IDENTITY FULL',
        )


def _unindexed(node: Node) -> Iterator[Reason]:
    """A large table that every batch would have to read whole."""
    if node.table.pages < _SMALL_PAGES:
        return
    for edge in (*node.incoming, *node.own):
        columns = {pair.child for pair in edge.pairs}
        if not any(_serves(index, edge, columns) for index in node.table.indexes):
            names = ", ".join(f'"{node.table.by_number[n].name}"' for n in sorted(columns))
            yield _reason(
                "no_index",
                f'"{node.table.label}" is large and has no index on ({names}): each batch would read all of it',
                f'CREATE INDEX CONCURRENTLY ON "{node.table.schema}"."{node.table.name}" ({names})',
            )


def _serves(index: Index, edge: Edge, columns: set[int]) -> bool:
    """A condition may hold down the columns in front, or be the predicate of a partial index."""
    if edge.condition is not None:
        return index.valid and bool(columns & set(index.columns))
    return index.valid and index.predicate is None and index.columns[0] in columns


def _foreign_keys(facts: Facts, tree: Tree) -> Iterator[Reason]:
    tables = {node.table.oid for node in tree.nodes if node.merges}
    for key in facts.foreign_keys:
        if key.parent in tables and not key.triggers_enabled:
            yield _reason(
                "disabled_foreign_key",
                f'the triggers of the foreign key "{key.name}" are disabled',
                "enable them: nobody checks this reference as it is",
            )
        child = facts.tables.get(key.table)
        if key.parent in tables and not key.inherited and child is not None and child.is_partition:
            yield _reason(
                "partition_foreign_key",
                f'the foreign key "{key.name}" is on the partition "{child.label}" alone',
                "declare it on the partitioned table, so that the other partitions are moved too",
            )


def _grant(right: str, name: str, role: str, why: str) -> Reason:
    return _reason("rights", f'role "{role}" lacks {right} "{name}": {why}', f'GRANT {right} "{name}" TO "{role}"')


def _reason(code: str, problem: str, way_on: str) -> Reason:
    return Reason(problem=problem, way_on=way_on, code=code)
