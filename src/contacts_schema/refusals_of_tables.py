"""What the catalog forbids about each table that a merge reaches, and about the foreign keys between them. Pure."""

from collections.abc import Iterator

from .catalog.facts import Facts, Index, Table
from .errors import Reason
from .merge.tree import Edge, Node, Tree
from .references import listed

# relpages, 8 kB each: below this a scan of the table for every batch is not noticed.
_SMALL_PAGES = 200


def table_reasons(role: str, node: Node, tree: Tree) -> Iterator[Reason]:
    """Every reason to refuse that one table gives."""
    yield from _rights(role, node)
    yield from _ownership(role, node)
    yield from _row_security(role, node.table)
    yield from _kind(node.table)
    yield from _columns(node)
    yield from _triggers(node)
    yield from _keyless(node, tree)
    yield from _unseen(role, node)
    yield from _unindexed(node)


def foreign_key_reasons(facts: Facts, tree: Tree) -> Iterator[Reason]:
    """Foreign keys that nobody checks, or that hold for a part of a table only."""
    merging = {node.table.oid for node in tree.nodes if node.merges}
    moving = {node.table.oid: set(node.changed) for node in tree.nodes}
    for key in facts.foreign_keys:
        child, parent = facts.tables.get(key.table), facts.tables[key.parent]
        if key.parent not in merging or child is None:
            continue
        if not key.triggers_enabled:
            yield _reason(
                "disabled_foreign_key",
                f'the triggers of the foreign key "{key.name}" of "{child.label}" are disabled: nobody checks it',
                f"ALTER TABLE ... ENABLE TRIGGER ALL on {listed(dict.fromkeys((child.label, parent.label)))}",
            )
        if key.on_update in "nd" and set(key.parent_columns) & moving.get(key.parent, set()):
            yield _reason(
                "update_action",
                f'the foreign key "{key.name}" of "{child.label}" empties references where a key of "{parent.label}" '
                "changes, and such keys move with their contact: other people's rows would lose theirs on the way back",
                f'make "{key.name}" ON UPDATE NO ACTION or CASCADE',
            )
        if child.is_partition and not key.inherited:
            yield _reason(
                "partition_foreign_key",
                f'the foreign key "{key.name}" is on the partition "{child.label}" alone: other partitions would be '
                "left dangling",
                "declare it on the partitioned table",
            )


def _rights(role: str, node: Node) -> Iterator[Reason]:
    table = node.table
    if not table.schema_usage:
        yield _reason(
            "rights" if node.is_root else "child_rights",
            f'role "{role}" lacks USAGE ON SCHEMA "{table.schema}", which holds "{table.label}"',
            f'GRANT USAGE ON SCHEMA "{table.schema}" TO "{role}"',
        )
    there = {
        "SELECT": table.can_select,
        "UPDATE": table.can_update,
        "INSERT": table.can_insert or not node.merges,
        "DELETE": table.can_delete or not node.merges,
    }
    if missing := ", ".join(right for right, granted in there.items() if not granted):
        yield _reason(
            "rights" if node.is_root else "child_rights",
            f'role "{role}" lacks {missing} on "{table.label}"',
            f'GRANT {missing} ON "{table.schema}"."{table.name}" TO "{role}"',
        )


def _unseen(role: str, node: Node) -> Iterator[Reason]:
    for key in node.table.unseen if node.merges else ():
        yield _reason(
            "unseen",
            f'the foreign key "{key.name}" of "{node.table.label}" is NOT VALID, and role "{role}" cannot see all of '
            f'"{key.parent}": a row without its parent could not be brought back',
            "let the role read that table, or validate the foreign key, or drop it",
        )


def _ownership(role: str, node: Node) -> Iterator[Reason]:
    table = node.table
    if not node.is_root and not table.owned and any(trigger.enabled != "D" for trigger in table.triggers):
        yield _reason(
            "child_owner",
            f'role "{role}" does not own "{table.label}", whose triggers must rest while its rows are brought back',
            f"run as its owner, or: {ownership(table, role)}",
        )


def ownership(table: Table, role: str) -> str:
    """How a role comes to what only the owner may do. Nobody is to become a superuser for it."""
    if table.owner_is_superuser:
        return f'ALTER TABLE "{table.schema}"."{table.name}" OWNER TO "{role}"'
    return f'GRANT "{table.owner}" TO "{role}"'


def _row_security(role: str, table: Table) -> Iterator[Reason]:
    if not table.row_security_active:
        return
    unforced = f'ALTER TABLE "{table.schema}"."{table.name}" NO FORCE ROW LEVEL SECURITY'
    yield _reason(
        "row_security",
        f'row level security would hide rows of "{table.label}" from role "{role}"',
        f"run as a role with BYPASSRLS, or: {unforced if table.owned else ownership(table, role)}",
    )


def _kind(table: Table) -> Iterator[Reason]:
    if table.has_heirs:
        yield _reason(
            "inherits",
            f'"{table.label}" takes part in table inheritance: rows of its heirs have no keys in common with it',
            "end the inheritance with ALTER TABLE ... NO INHERIT, or merge by hand",
        )
    for rule in table.rules:
        yield _reason(
            "rule",
            f'the rule "{rule}" on "{table.label}" rewrites the statements of a merge',
            f'DROP RULE "{rule}" ON "{table.schema}"."{table.name}"',
        )
    if table.kind not in "rp":
        yield _reason("child_kind", f'"{table.label}" is no table', "declare references of tables only")


def _columns(node: Node) -> Iterator[Reason]:
    for number in node.changed:
        column = node.table.by_number[number]
        if column.generated or column.identity == "a":
            kind = "is generated" if column.generated else "is GENERATED ALWAYS AS IDENTITY"
            yield _reason(
                "generated_reference",
                f'column "{column.name}" of "{node.table.label}" refers to rows that are merged and {kind}: it cannot '
                "be set",
                "change the column's definition",
            )
    for column in node.table.columns:
        if column.name.startswith("~"):
            yield _reason(
                "tilde", f'column "{column.name}" of "{node.table.label}" begins with "~", as ours do', "rename it"
            )


def _triggers(node: Node) -> Iterator[Reason]:
    for name in node.table.partition_triggers:
        yield _reason(
            "partition_trigger",
            f'the trigger "{name}" is on a partition alone, or in another state than that of "{node.table.label}": what it '
            "changes would not be undone",
            "create it on the partitioned table, in one state for all",
        )
    for trigger in node.table.triggers:
        if trigger.function == "lo_manage" and trigger.on_delete and trigger.enabled != "D" and node.merges:
            yield _reason(
                "trigger",
                f'the trigger "{trigger.name}" on "{node.table.label}" unlinks a large object with its row, and the '
                "object could not be brought back",
                f'ALTER TABLE "{node.table.schema}"."{node.table.name}" DISABLE TRIGGER "{trigger.name}" for the merge',
            )


def _keyless(node: Node, tree: Tree) -> Iterator[Reason]:
    table = node.table
    if table.primary_key or not node.changed:
        return
    for edge in node.incoming:
        parent = tree.by_table[edge.parent]
        if not parent.is_root and {pair.parent for pair in edge.pairs} & set(parent.changed):
            yield _reason(
                "keyless_child",
                f'"{table.label}" has no primary key and refers to a key of "{parent.table.label}" that itself moves',
                f'give "{table.label}" a primary key',
            )
    if table.published and table.replica_identity in "dn":
        yield _reason(
            "no_replica_identity",
            f'"{table.label}" has no primary key and is published: PostgreSQL refuses to update it',
            f'give it a primary key, or: ALTER TABLE "{table.schema}"."{table.name}" REPLICA IDENTITY FULL',
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
                f'"{node.table.label}" is large and has no index on ({names}): every batch would read all of it',
                f'CREATE INDEX CONCURRENTLY ON "{node.table.schema}"."{node.table.name}" ({names})',
            )


def _serves(index: Index, edge: Edge, columns: set[int]) -> bool:
    """A condition may hold down the columns in front, or be the predicate of a partial index."""
    if edge.condition is not None:
        return index.valid and bool(columns & set(index.columns))
    return index.valid and index.predicate is None and index.columns[0] in columns


def _reason(code: str, problem: str, way_on: str) -> Reason:
    return Reason(problem=problem, way_on=way_on, code=code)
