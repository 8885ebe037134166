"""What the catalog says, as frozen values. Knows PostgreSQL's words; knows no settings and runs nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Column:
    """One live column. ``number`` is pg_attribute.attnum, which renames do not change.

    ``equality`` is the ``=`` of the type's default B-tree operator class, None where the type has none.
    """

    table: int
    number: int
    name: str
    type: str
    base_type: str
    category: str
    not_null: bool
    generated: str
    identity: str
    collation: int
    equality: str | None
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Index:
    """One index. ``keys`` are expressions as pg_get_indexdef writes them, ``equality`` their ``=`` operators.

    ``columns`` holds the attnum of every key, 0 for an expression; ``mentions`` every attnum that an expression
    or the predicate reads.
    """

    table: int
    name: str
    method: str
    columns: tuple[int, ...]
    included: tuple[int, ...]
    keys: tuple[str, ...]
    equality: tuple[str | None, ...]
    plain: bool
    mentions: tuple[int, ...]
    predicate: str | None
    unique: bool
    primary: bool
    exclusion: bool
    valid: bool
    ready: bool
    nulls_not_distinct: bool
    constraint: str | None
    deferrable: bool

    @property
    def enforcing(self) -> bool:
        """Unique and kept up to date by writers, valid or not."""
        return self.unique and self.ready


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """A foreign key from ``table`` to ``parent``; ``equality`` are the operators parent = child, column by column.

    ``on_update`` is the catalog's letter for its action: ``n`` sets NULL, ``d`` the default.
    """

    name: str
    table: int
    columns: tuple[int, ...]
    parent: int
    parent_columns: tuple[int, ...]
    equality: tuple[str, ...]
    on_update: str
    triggers_enabled: bool
    inherited: bool


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A user trigger; ``before``, ``row`` and the events are decoded from pg_trigger.tgtype."""

    table: int
    name: str
    function: str
    function_schema: str
    enabled: str
    before: bool
    row: bool
    on_update: bool
    on_delete: bool


@dataclass(frozen=True, kw_only=True)
class Check:
    """A CHECK, or a NOT NULL that is NOT VALID; ``columns`` are those that its expression reads.

    ``certain`` where every row keeps it: it is valid, and made of what always gives the same.
    """

    table: int
    name: str
    expression: str
    columns: tuple[int, ...]
    certain: bool


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A stored column that a function of the user's computes, as a condition on a row: that it would give the same today."""

    table: int
    name: str
    expression: str


@dataclass(frozen=True, kw_only=True)
class Need:
    """A foreign key of a table as a condition on a row of it, ``~image``: that the row which it refers to is there.

    ``lacking`` is the contrary; ``certain`` where it is valid, so that no statement of today leaves a row without.
    Only of keys that are enforced, and to tables of which every row can be seen. A row may lack it where the key is NOT
    VALID, and where rows came or went while its triggers were off.
    """

    table: int
    name: str
    expression: str
    lacking: str
    columns: tuple[int, ...]
    certain: bool


Rule = Check | Computed | Need


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """A foreign key that is NOT VALID and whose ``parent``, ``schema.table``, this role cannot see whole."""

    table: int
    name: str
    parent: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A relation and what hangs on it. ``rows`` is the planner's estimate, -1 where it was never analysed.

    ``partitioned_by`` are the columns that decide where a row lies, 0 for an expression; ``partitions`` the condition
    that holds in each of its leaves, None where there is none. ``partition_triggers`` are those of partitions that the
    table itself does not have, or not in that state.
    """

    oid: int
    schema: str
    name: str
    kind: str
    is_partition: bool
    has_heirs: bool
    rows: float
    pages: int
    row_security_active: bool
    rules: tuple[str, ...]
    published: tuple[str, ...]
    replica_identity: str
    owner: str
    owned: bool
    can_select: bool
    can_insert: bool
    can_update: bool
    can_delete: bool
    schema_usage: bool
    schema_create: bool
    owner_is_superuser: bool = False
    partitioned_by: tuple[int, ...] = ()
    partitions: tuple[str | None, ...] = ()
    partition_triggers: tuple[str, ...] = ()
    distributed: bool = False
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    checks: tuple[Check, ...] = ()
    computed: tuple[Computed, ...] = ()
    needs: tuple[Need, ...] = ()
    unseen: tuple[Unseen, ...] = ()

    @property
    def label(self) -> str:
        """``schema.table`` for people; never for SQL."""
        return f"{self.schema}.{self.name}"

    @cached_property
    def by_number(self) -> Mapping[int, Column]:
        return {column.number: column for column in self.columns}

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def stored(self) -> tuple[Column, ...]:
        """The columns that a row holds. A virtual one is computed when it is read, which may fail."""
        return tuple(column for column in self.columns if column.generated != "v")

    @cached_property
    def primary_index(self) -> Index | None:
        return next((index for index in self.indexes if index.primary), None)

    @property
    def primary_key(self) -> tuple[int, ...]:
        return self.primary_index.columns if self.primary_index else ()

    @cached_property
    def doubtful(self) -> tuple[Rule, ...]:
        """What rows that are there may break, so that they could be neither changed nor inserted as they are."""
        return (*(check for check in self.checks if not check.certain), *self.computed, *self.needs)

    def names(self, numbers: tuple[int, ...]) -> str:
        """Column names for people: ``workspace_id, phone``."""
        return ", ".join(self.by_number[number].name for number in numbers)


@dataclass(frozen=True, kw_only=True)
class NamedColumn:
    """A column named like a reference (``contact_id``), in any user table.

    ``parents`` are the tables its foreign keys lead to; ``type_column`` is its neighbour ``contact_type``, which
    makes it polymorphic.
    """

    table: int
    schema: str
    name: str
    column: str
    type: str
    type_column: str | None
    parents: tuple[int, ...]
    readable: bool


@dataclass(frozen=True, kw_only=True)
class Role:
    """Who runs this, where, and what the role may do in the database."""

    name: str
    database: str
    can_create_schema: bool
    can_create_temp: bool


@dataclass(frozen=True, kw_only=True)
class PrivateSchema:
    """The schema by the private schema's name. ``ours`` is false where somebody else's tables are in it."""

    owned: bool
    ours: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything a plan is made from. ``target`` is None where the table does not exist (see ``similar``)."""

    role: Role
    target: int | None
    tables: Mapping[int, Table]
    foreign_keys: tuple[ForeignKey, ...]
    named_columns: tuple[NamedColumn, ...]
    declared: Mapping[tuple[str, str], int | None]
    similar: tuple[str, ...]
    private_schema: PrivateSchema | None
    relation_named_constraint: str | None
