"""What an upgrade has left in a database, and how that is told to somebody whose downgrade finds nothing stamped."""

import shlex
from dataclasses import dataclass

from contacts_schema.settings import Settings
from contacts_schema.settings_parsing import quoted


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What is there of one table's upgrades.

    `stamped` says that the version table beside it has a revision of ours, `constraint` is the unique constraint's
    name where it is in place, `standing` says that something is up which an upgrade takes down at its end, `guarded`
    that this keeps duplicates out. None of them: rows that a complete downgrade left in the archive. `columns` is empty
    where nothing tells them.
    """

    private_schema: str
    schema: str
    table: str
    columns: tuple[str, ...] = ()
    stamped: bool = False
    constraint: str | None = None
    standing: bool = False
    guarded: bool = False

    @property
    def dangerous(self) -> bool:
        """Whether a downgrade that does nothing leaves more than rows in the archive."""
        return self.stamped or self.constraint is not None or self.standing

    def told(self, settings: Settings) -> str:
        """Return the line that tells of it, and of the way on, to somebody who has given these settings."""
        label, options = f'"{self.schema}.{self.table}"', self._options(settings)
        alembic = f"alembic {options}".rstrip()
        way_back = f"`{alembic} stamp head` and `{alembic} downgrade base` take it back"
        held = f'"{self.private_schema}" holds a merge of {label} that is not undone'
        if self.stamped:
            return f"{held}: downgrade with the settings of that upgrade ({options})"
        if self.constraint == settings.constraint:
            return f"{held}: {way_back}"
        if self.constraint is not None:
            return f'{held}, under "{self.constraint}": downgrade in the Alembic project of that upgrade'
        if self.standing:
            rejected = "new duplicates are rejected; " if self.guarded else ""
            way_on = f"{rejected}go on with `{alembic} upgrade head`"
            return f"an upgrade of {label} that has not ended is here: {way_on}, or {way_back}"
        again = f"`{alembic} stamp dedupe_contacts` and `{alembic} downgrade base` try again"
        return f'rows of {label} stay in the archive in "{self.private_schema}"; {again}'

    def _options(self, settings: Settings) -> str:
        """What finds this table on the command line: whatever is neither the default nor given already."""
        defaults = Settings()
        workspace, phone = self.columns if len(self.columns) == 2 else (None, None)
        values = {
            "schema": (self.schema, settings.schema, defaults.schema),
            "table": (self.table, settings.table, defaults.table),
            "workspace_column": (workspace, settings.columns[0], defaults.columns[0]),
            "phone_column": (phone, settings.columns[-1], defaults.columns[-1]),
            "private_schema": (self.private_schema, settings.private_schema, defaults.private_schema),
        }
        return " ".join(
            f"-x {shlex.quote(f'{name}={quoted(value)}')}"
            for name, (value, *others) in values.items()
            if value is not None and any(value != other for other in others)
        )
