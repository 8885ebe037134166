"""Facts and settings make a plan, or every reason to refuse. Pure: nothing is read and nothing is run."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from .catalog.facts import Facts, Index, NamedColumn, Table
from .errors import Reason
from .merge.tree import Edge, Pair, Tree, grow
from .refusals import refusals
from .settings import Reference, Settings

_SOFT_DELETED = ("deleted_at", "archived_at", "discarded_at", "removed_at")
_SOFT_DELETED_FLAG = ("is_deleted", "deleted", "is_archived", "archived")
_CREATED = ("created_at", "inserted_at", "created_on", "date_created", "created")


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A column that may hold keys of ``parent`` without a foreign key; polymorphic where it has a type column."""

    column: NamedColumn
    parent: int
    polymorphic: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do to one table. ``tree`` is None where the facts do not allow one; then there are reasons."""

    facts: Facts
    settings: Settings
    target: Table | None
    key: tuple[int, ...] = ()
    tree: Tree | None = None
    survivor_order: str = ""
    fill: tuple[int, ...] = ()
    decided: frozenset[int] = frozenset()
    suspects: tuple[Suspect, ...] = ()
    reasons: tuple[Reason, ...] = ()

    @property
    def constrained(self) -> bool:
        """The constraint is there already, with the right meaning."""
        index = self.constraint_index
        return index is not None and index.constraint is not None and index.valid and self.means_key(index)

    @property
    def constraint_index(self) -> Index | None:
        """The index by the constraint's name, whatever it means."""
        name = self.settings.constraint
        return next((i for i in (self.target.indexes if self.target else ()) if i.name == name), None)

    def means_key(self, index: Index) -> bool:
        """A unique index over exactly the key, as the constraint will be."""
        return (
            index.unique
            and index.plain
            and set(index.columns) == set(self.key)
            and len(index.columns) == len(self.key)
            and index.predicate is None
            and not index.nulls_not_distinct
            and not index.deferrable
            and not index.included
        )

    @property
    def lookup_index(self) -> Index | None:
        """An index through which the rows of one key are found."""
        for index in self.target.indexes if self.target else ():
            leads = set(index.columns[: len(self.key)]) == set(self.key)
            if leads and index.valid and index.plain and index.method == "btree" and index.predicate is None:
                return index
        return None


def make_plan(facts: Facts, settings: Settings) -> Plan:
    """Make the plan for merging ``settings.table`` by its key."""
    if facts.target is None:
        return Plan(facts=facts, settings=settings, target=None, reasons=(_missing_table(facts, settings),))
    target = facts.tables[facts.target]
    missing = tuple(_missing_columns(target, settings))
    if missing:
        return Plan(facts=facts, settings=settings, target=target, reasons=missing)
    key = tuple(target.by_name[name].number for name in settings.columns)
    edges, faults = _edges(facts, settings, target)
    tree = grow(target, key, facts.tables, edges)
    suspects = tuple(_suspects(facts, settings, tree))
    plan = Plan(
        facts=facts,
        settings=settings,
        target=target,
        key=key,
        tree=tree,
        survivor_order=settings.survivor_order or default_order(target),
        fill=tuple(target.by_name[name].number for name in settings.fill),
        decided=frozenset(_decided(facts, settings)),
        suspects=suspects,
    )
    reasons = (*faults, *_unknown_names(facts, settings), *refusals(facts, settings, target, key, tree), *_named(plan))
    return Plan(**{**plan.__dict__, "reasons": reasons})


def default_order(table: Table) -> str:
    """Rows that are not soft-deleted first, then the oldest."""
    parts = [f"({quoted(n)} IS NOT NULL)" for n in _SOFT_DELETED if n in table.by_name]
    flags = [n for n in _SOFT_DELETED_FLAG if n in table.by_name and table.by_name[n].base_type == "boolean"]
    parts += [f"coalesce({quoted(n)}, false)" for n in flags]
    created = next((n for n in _CREATED if n in table.by_name), None)
    return ", ".join([*parts, *([quoted(created)] if created else [])])


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _missing_table(facts: Facts, settings: Settings) -> Reason:
    wanted = f"{settings.schema}.{settings.table}"
    near = get_close_matches(wanted, facts.similar, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return Reason(
        problem=f'there is no table "{wanted}"',
        way_on=f"set schema and table, and connect to the right database{hint}",
        code="no_table",
    )


def _missing_columns(table: Table, settings: Settings) -> Iterator[Reason]:
    for name in (*settings.columns, *settings.fill):
        if name not in table.by_name:
            yield _no_column(table, name)


def _no_column(table: Table, name: str) -> Reason:
    near = get_close_matches(name, table.by_name, n=3, cutoff=0.4) or list(table.by_name)[:8]
    return Reason(
        problem=f'table "{table.label}" has no column "{name}"',
        way_on=f"name one that it has: {', '.join(near)}",
        code="no_column",
    )


def _edges(facts: Facts, settings: Settings, target: Table) -> tuple[list[Edge], list[Reason]]:
    keys = [
        Edge(
            name=key.name,
            child=key.table,
            parent=key.parent,
            pairs=tuple(
                Pair(child=c, parent=p, equality=e)
                for c, p, e in zip(key.columns, key.parent_columns, key.equality, strict=True)
            ),
        )
        for key in facts.foreign_keys
        if not key.inherited and key.table in facts.tables
    ]
    declared = [_declared(facts, settings, reference, target) for reference in settings.references]
    return (
        keys + [d for d in declared if isinstance(d, Edge)],
        [d for d in declared if isinstance(d, Reason)],
    )


def _declared(facts: Facts, settings: Settings, reference: Reference, target: Table) -> Edge | Reason:
    """A reference that the user declared, or what is wrong with it."""
    schema = reference.schema or settings.schema
    child_oid = facts.declared.get((schema, reference.table))
    parent = target
    if reference.target_table is not None:
        oid = facts.declared.get((reference.target_schema or settings.schema, reference.target_table))
        if oid is None:
            return _no_reference(f'there is no table "{reference.target_table}" for the declared reference "{reference}"')
        parent = facts.tables[oid]
    if child_oid is None:
        return _no_reference(f'there is no table "{schema}.{reference.table}" for the declared reference "{reference}"')
    child = facts.tables[child_oid]
    if reference.column not in child.by_name:
        return _no_column(child, reference.column)
    column = parent.by_name.get(reference.target_column) if reference.target_column else _sole_key(parent)
    if column is None:
        return _no_reference(f'"{reference}" names no column of "{parent.label}", whose primary key is not one column')
    child_column = child.by_name[reference.column]
    same = child_column.base_type == column.base_type
    return Edge(
        name=str(reference),
        child=child.oid,
        parent=parent.oid,
        pairs=(
            Pair(
                child=child_column.number,
                parent=column.number,
                equality=(column.equality if same else child_column.equality) or "=",
                cast=None if same else child_column.type,
            ),
        ),
        condition=reference.condition,
        declared=True,
    )


def _sole_key(table: Table):  # type: ignore[no-untyped-def]
    return table.by_number[table.primary_key[0]] if len(table.primary_key) == 1 else None


def _no_reference(problem: str) -> Reason:
    return Reason(problem=problem, way_on="correct the setting references", code="bad_reference")


def _decided(facts: Facts, settings: Settings) -> Iterator[int]:
    labels = {(t.schema, t.name): oid for oid, t in facts.tables.items()}
    for schema, table, choice in settings.collisions:
        oid = labels.get((schema or settings.schema, table))
        if oid is not None and choice == "merge":
            yield oid


def _unknown_names(facts: Facts, settings: Settings) -> Iterator[Reason]:
    """Settings that name a table or column which does not exist are typing errors."""
    labels = {(t.schema, t.name) for t in facts.tables.values()}
    for schema, table, _ in settings.collisions:
        if (schema or settings.schema, table) not in labels:
            yield Reason(
                problem=f'collisions names "{schema or settings.schema}.{table}", which no reference leads to',
                way_on="name a table whose rows hang on the contacts",
                code="bad_collisions",
            )
    columns = {(c.schema, c.name, c.column) for c in facts.named_columns}
    for schema, table, column in settings.ignore_references:
        if (schema or settings.schema, table, column) not in columns:
            yield Reason(
                problem=f'ignore_references names "{schema or settings.schema}.{table}.{column}", which does not exist '
                "or is not named like a reference",
                way_on="take it out, or name a column that there is",
                code="bad_ignore",
            )


def _suspects(facts: Facts, settings: Settings, tree: Tree) -> Iterator[Suspect]:
    """Columns that look like references to a table whose rows can be merged, and are neither declared nor ignored."""
    known = {(r.schema or settings.schema, r.table, r.column) for r in settings.references}
    known |= {(schema or settings.schema, table, column) for schema, table, column in settings.ignore_references}
    for node in tree.nodes:
        key = _sole_key(node.table)
        if not node.merges or key is None:
            continue
        for column in facts.named_columns:
            if (column.schema, column.name, column.column) in known or column.parents:
                continue
            if not _fits(column, key.base_type) or column.table == node.table.oid == column.table and column.column == key.name:
                continue
            if _names(column.column, node.table.name):
                yield Suspect(column=column, parent=node.table.oid, polymorphic=False)
            elif column.type_column is not None:
                yield Suspect(column=column, parent=node.table.oid, polymorphic=True)


def _fits(column: NamedColumn, key_type: str) -> bool:
    whole = {"smallint", "integer", "bigint"}
    plain = column.type.removesuffix("[]")
    textual = {"text", "character varying", "character"}
    return plain == key_type or (plain in whole and key_type in whole) or (column.type_column is not None and plain in textual)


def _names(column: str, table: str) -> bool:
    """``primary_contact_id``, ``contactId``, ``contact_uuid`` name the table ``contacts`` or ``contact``."""
    stem = re.sub(r"(ids?|uuids?)$", "", column.replace("_", "").lower())
    return any(stem.endswith(name) for name in singular(table))


def singular(table: str) -> set[str]:
    """The forms of a table's name by which a column may call one of its rows."""
    name = table.replace("_", "").lower()
    forms = {name}
    if name.endswith("ies"):
        forms.add(name[:-3] + "y")
    if name.endswith("es"):
        forms.add(name[:-2])
    if name.endswith("s"):
        forms.add(name[:-1])
    return forms


def _named(plan: Plan) -> Iterator[Reason]:
    """The constraint's name is taken by something else."""
    index, settings, kind = plan.constraint_index, plan.settings, plan.facts.relation_named_constraint
    taken = Reason(
        problem=f'"{settings.constraint}" exists already with another meaning',
        way_on="rename or drop it, or choose another name for the constraint",
        code="name_taken",
    )
    if index is not None and not plan.means_key(index):
        yield taken
    elif index is None and kind is not None:
        yield taken


def reasons_for_suspects(suspects: Sequence[Suspect], tables: dict[int, Table]) -> Iterator[Reason]:
    for suspect in suspects:
        column, parent = suspect.column, tables[suspect.parent]
        where = f"{column.schema}.{column.name}.{column.column}"
        condition = f" where {column.type_column} = '...'" if suspect.polymorphic else ""
        target = "" if suspect.parent == next(iter(tables)) else f" -> {parent.label}"
        array = column.type.endswith("[]")
        yield Reason(
            problem=f'"{where}" looks like a reference to "{parent.label}" and has no foreign key: '
            "deleting a duplicate would leave it dangling",
            way_on=(f"an array cannot be moved: change it by hand afterwards and set ignore_references = {where}")
            if array
            else f"declare it with references = {where}{target}{condition}, or set ignore_references = {where}",
            code="suspect",
        )
