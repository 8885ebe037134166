"""Facts and settings make a plan, or every reason to refuse. Pure: nothing is read and nothing is run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from .catalog.facts import Facts, Index, Table
from .errors import Reason
from .merge.growth import grow
from .merge.tree import Edge, Tree
from .references import edges, listed, no_column, unknown_names
from .refusals import refusals
from .settings import Settings
from .suspects import Suspect, find_suspects

SOFT_DELETED = ("deleted_at", "archived_at", "discarded_at", "removed_at")
SOFT_DELETED_FLAG = ("is_deleted", "deleted", "is_archived", "archived")
CREATED = ("created_at", "inserted_at", "created_on", "date_created", "created")


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
    def declared(self) -> tuple[Edge, ...]:
        """The references that have no foreign key."""
        return self.tree.declared if self.tree else ()

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
    plan = Plan(facts=facts, settings=settings, target=None)
    if facts.target is None:
        return replace(plan, reasons=(_missing_table(facts, settings),))
    plan = replace(plan, target=facts.tables[facts.target])
    missing = tuple(_missing_columns(facts.tables[facts.target], settings))
    return replace(plan, reasons=missing) if missing else _grown(plan, facts.tables[facts.target])


def _grown(plan: Plan, target: Table) -> Plan:
    """The plan once the table and its columns are known to exist."""
    facts, settings = plan.facts, plan.settings
    key = tuple(target.by_name[name].number for name in settings.columns)
    references, faults = edges(facts, settings, target)
    tree = grow(target, key, facts.tables, references)
    plan = replace(
        plan,
        key=key,
        tree=tree,
        survivor_order=settings.survivor_order or default_order(target),
        fill=tuple(target.by_name[name].number for name in settings.fill),
        decided=frozenset(_decided(facts, settings)),
        suspects=tuple(find_suspects(facts, settings, tree)),
    )
    said = (*faults, *unknown_names(facts, settings), *refusals(facts, settings, target, key, tree))
    return replace(plan, reasons=(*said, *_name_taken(plan, target)))


def default_order(table: Table) -> str:
    """Rows that are not soft-deleted first, then the oldest."""
    parts = [f"({_quoted(n)} IS NOT NULL)" for n in SOFT_DELETED if n in table.by_name]
    flags = [n for n in SOFT_DELETED_FLAG if n in table.by_name and table.by_name[n].base_type == "boolean"]
    parts += [f"coalesce({_quoted(n)}, false)" for n in flags]
    created = next((n for n in CREATED if n in table.by_name), None)
    return ", ".join([*parts, *([_quoted(created)] if created else [])])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _missing_table(facts: Facts, settings: Settings) -> Reason:
    wanted = f"{settings.schema}.{settings.table}"
    near = get_close_matches(wanted, facts.similar, n=3, cutoff=0.5)
    there = f"; there is {listed(near)}" if near else ""
    return Reason(
        problem=f'there is no table "{wanted}"{there}',
        way_on="set schema and table, or connect to another database",
        code="no_table",
    )


def _missing_columns(table: Table, settings: Settings) -> Iterator[Reason]:
    for name in (*settings.columns, *settings.fill):
        if name not in table.by_name:
            yield no_column(table, name)


def _decided(facts: Facts, settings: Settings) -> Iterator[int]:
    """Tables whose colliding rows may differ."""
    labels = {(t.schema, t.name): oid for oid, t in facts.tables.items()}
    for schema, table, choice in settings.collisions:
        oid = labels.get((schema or settings.schema, table))
        if oid is not None and choice == "merge":
            yield oid


def _name_taken(plan: Plan, target: Table) -> Iterator[Reason]:
    """The constraint's name is taken by something else."""
    index, name = plan.constraint_index, plan.settings.constraint
    if index is not None and plan.means_key(index):
        return
    taken = plan.facts.relation_named_constraint
    what = taken if index is None else f'an index of "{target.label}" with another meaning'
    if what is not None:
        yield Reason(
            problem=f'the name "{name}" is taken by {what}',
            way_on="rename or drop that, or give the constraint another name",
            code="name_taken",
        )
