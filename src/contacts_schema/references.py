"""Which columns refer to which rows: foreign keys, and what the user declared. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from .catalog.facts import Column, Facts, ForeignKey, Table
from .errors import Reason
from .merge.tree import Edge, Pair
from .settings import Reference, Settings
from .settings_parsing import dotted


def edges(facts: Facts, settings: Settings, target: Table) -> tuple[list[Edge], list[Reason]]:
    """Every reference there is, and what is wrong with the declared ones."""
    declared = [_declared(facts, settings, reference, target) for reference in settings.references]
    return (
        [*_foreign_keys(facts), *(edge for edge in declared if isinstance(edge, Edge))],
        [reason for reason in declared if isinstance(reason, Reason)],
    )


def sole_key(table: Table) -> Column | None:
    """The column of a primary key that is one column, else None."""
    return table.by_number[table.primary_key[0]] if len(table.primary_key) == 1 else None


def no_column(table: Table, name: str) -> Reason:
    """The refusal of a column that is not there, with the near names."""
    near = get_close_matches(name, table.by_name, n=3, cutoff=0.4) or list(table.by_name)[:8]
    return Reason(
        problem=f'"{table.label}" has no column "{name}"',
        way_on=f"name one that it has, such as {listed(near, 'or')}",
        code="no_column",
    )


def listed(names: Iterable[str], word: str = "and") -> str:
    """Quote names for people: ``"a", "b" and "c"``."""
    *first, last = [f'"{name}"' for name in names] or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def unknown_names(facts: Facts, settings: Settings) -> Iterator[Reason]:
    """Settings that name a table or column which does not exist are typing errors."""
    labels = {(table.schema, table.name) for table in facts.tables.values()}
    for schema, name, _ in settings.collisions:
        if (schema or settings.schema, name) not in labels:
            yield Reason(
                problem=f'collisions names "{schema or settings.schema}.{name}", which no reference leads to',
                way_on="name a table whose rows hang on the contacts, or take the entry out",
                code="bad_collisions",
            )
    columns = {(c.schema, c.name, c.column) for c in facts.named_columns}
    for schema, name, column in settings.ignore_references:
        if (schema or settings.schema, name, column) not in columns:
            yield Reason(
                problem=f'ignore_references names "{schema or settings.schema}.{name}.{column}", which does not '
                "exist or is not named like a reference",
                way_on="name a column that there is, or take the entry out",
                code="bad_ignore",
            )


def _foreign_keys(facts: Facts) -> list[Edge]:
    return [edge_of(key) for key in facts.foreign_keys if not key.inherited and key.table in facts.tables]


def edge_of(key: ForeignKey) -> Edge:
    """A foreign key as a reference to follow."""
    pairs = zip(key.columns, key.parent_columns, key.equality, strict=True)
    return Edge(
        name=key.name,
        child=key.table,
        parent=key.parent,
        pairs=tuple(Pair(child=child, parent=parent, equality=equality) for child, parent, equality in pairs),
    )


def _declared(facts: Facts, settings: Settings, reference: Reference, target: Table) -> Edge | Reason:
    """The edge that a declared reference means, or what is wrong with it."""
    child = _table(facts, reference.schema or settings.schema, reference.table)
    parent = target
    if reference.target_table is not None:
        schema = reference.target_schema or settings.schema
        found = _table(facts, schema, reference.target_table)
        if found is None:
            return _bad(reference, f'leads to "{schema}.{reference.target_table}", which does not exist')
        parent = found
    if child is None:
        return _bad(reference, "is in a table that does not exist")
    if reference.column not in child.by_name:
        return no_column(child, reference.column)
    if reference.target_column is not None and reference.target_column not in parent.by_name:
        return no_column(parent, reference.target_column)
    column = parent.by_name[reference.target_column] if reference.target_column else sole_key(parent)
    if column is None:
        return _bad(reference, f'names no column of "{parent.label}", whose primary key is not one column')
    holder = child.by_name[reference.column]
    fault = _system_fault(child, parent) or _key_fault(child, holder, settings, target, {parent.oid: column.number})
    return _bad(reference, fault) if fault else _declared_edge(reference, child, parent, _pair(holder, column))


def _system_fault(*tables: Table) -> str | None:
    """The server's own tables cannot have triggers, nor rows of theirs moved."""
    system = [t.label for t in tables if t.schema.startswith("pg_") or t.schema == "information_schema"]
    return f'names "{system[0]}", which is a table of the server\'s own' if system else None


def _key_fault(child: Table, column: Column, settings: Settings, target: Table, referenced: Mapping[int, int]) -> str | None:
    """A merge goes by the key and the primary key of its table: neither can be what it changes."""
    if child.oid == target.oid and column.name in settings.columns:
        return "is a column of the key that rows are merged by, and cannot be changed by the merge"
    itself = child.oid in referenced and column.number in {referenced[child.oid], *child.primary_key}
    if itself or (child.oid == target.oid and column.number in child.primary_key):
        return f'is a column of a key of "{child.label}" itself, and no reference to one'
    return None


def _table(facts: Facts, schema: str, name: str) -> Table | None:
    oid = facts.declared.get((schema, name))
    return None if oid is None else facts.tables[oid]


def _pair(child: Column, parent: Column) -> Pair:
    """Columns of two types are compared as the child's, which is what its indexes hold.

    Without its length: by a cast a longer value would be cut off in silence, by an assignment it is an error.
    """
    same = child.base_type == parent.base_type
    equality = parent.equality if same else child.equality
    return Pair(child=child.number, parent=parent.number, equality=equality or "=", cast=None if same else child.base_type)


def _declared_edge(reference: Reference, child: Table, parent: Table, pair: Pair) -> Edge:
    return Edge(
        name=dotted(reference.schema, reference.table, reference.column),
        child=child.oid,
        parent=parent.oid,
        pairs=(pair,),
        condition=reference.condition,
        declared=True,
    )


def _bad(reference: Reference, fault: str) -> Reason:
    named = ".".join(filter(None, (reference.schema, reference.table, reference.column)))
    return Reason(
        problem=f'the declared reference "{named}" {fault}', way_on="correct the setting references", code="bad_reference"
    )
