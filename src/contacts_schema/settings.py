"""What the user decides, as one frozen value. Where it is read from is in `settings_sources`."""

from dataclasses import dataclass
from typing import Literal

from contacts_schema.errors import SettingsError
from contacts_schema.settings_checks import problems
from contacts_schema.settings_parsing import dotted


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A column that holds a contact's key without a foreign key.

    `schema` None is the settings' own schema, `target_table` None their own table (and then `target_schema`
    is None too), `target_column` None the target's primary key. `condition` is SQL over the referring table's
    columns that says which rows refer at all, as in a polymorphic reference.
    """

    schema: str | None = None
    table: str
    column: str
    target_schema: str | None = None
    target_table: str | None = None
    target_column: str | None = None
    condition: str | None = None

    def __str__(self) -> str:
        """Return the text that the setting `references` takes for this reference."""
        text = dotted(self.schema, self.table, self.column)
        if self.target_table is not None:
            text += f" -> {dotted(self.target_schema, self.target_table, self.target_column)}"
        return text if self.condition is None else f"{text} where {self.condition}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a run needs to know besides the database itself.

    `columns` are the key's, the phone last. `survivor_order` is an SQL ORDER BY list. `batch_size` counts
    groups, None finds it by time. `lock_timeout` is in milliseconds, for one of `lock_attempts` attempts.
    `ignore_references` are (schema, table, column) and `collisions` (schema, table, what to do with colliding
    rows that differ); a schema of None is `schema`.

    Raises SettingsError with every problem at once.
    """

    schema: str = "public"
    table: str = "contacts"
    columns: tuple[str, ...] = ("workspace_id", "phone")
    constraint: str = "unique_phone_workspace"
    survivor_order: str | None = None
    fill: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    ignore_references: tuple[tuple[str | None, str, str], ...] = ()
    collisions: tuple[tuple[str | None, str, str], ...] = ()
    blank_phones: Literal["refuse", "null"] = "refuse"
    batch_size: int | None = None
    lock_timeout: int = 100
    lock_attempts: int = 100
    private_schema: str = "contacts_schema"

    def __post_init__(self) -> None:
        found = tuple(problems(self))
        if found:
            raise SettingsError(found)

    @property
    def phone_column(self) -> str:
        """The key column whose blanks are no phone numbers."""
        return self.columns[-1]
