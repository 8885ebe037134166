"""The unique constraint and its indexes: from any state that an upgrade may have died in, the next step forward or back."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.rows import dict_row

from .catalog.facts import Table
from .compose import comma, ident
from .ddl import change_table
from .errors import ContactsSchemaError, LockNotAcquired, StatementFailed
from .report import Progress
from .retry import is_locked, patiently, with_lock
from .session import waiting_long
from .settings import Settings
from .sql import load

_SQL = load("constraint")
_BUILDS = 10
# unique_violation, and what a strict transaction's claim may cause
_DUPLICATES = {"23505", "40001"}


class State(Enum):
    """Where an index stands. A dead one may still enforce; both kinds are dropped and built again."""

    ABSENT = "absent"
    BUILDING = "being built by a live session"
    DEAD = "invalid"
    VALID = "valid"
    ATTACHED = "attached"


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """The constraint of one table and key."""

    connection: Connection[Any]
    settings: Settings
    table: Table
    key: tuple[int, ...]
    progress: Progress

    @property
    def lookup_name(self) -> str:
        return f"contacts_schema_lookup_{self.table.oid}"

    def state(self, name: str | None = None) -> State:
        """Where the index of this name stands, by default the constraint's own."""
        values = {"table": self.table.oid, "name": name or self.settings.constraint}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_SQL["state"].format(), values).fetchone()
        if row is None:
            return State.ABSENT
        if row["attached"]:
            return State.ATTACHED
        if row["valid"]:
            return State.VALID
        return State.BUILDING if row["building"] else State.DEAD

    def ensure_lookup(self) -> None:
        """Build the lookup index of ours, whatever is left of an earlier attempt."""
        self._build(self.lookup_name, "create_lookup_index", lambda: None)

    def build(self, merge: Callable[[], None]) -> None:
        """Build the unique index; ``merge`` is called where it finds duplicates that no trigger saw arrive."""
        self._build(self.settings.constraint, "create_unique_index", merge)

    def attach(self, beside: Callable[[], None]) -> None:
        """Make the index the constraint; ``beside`` runs in the same short transaction."""

        def action() -> None:
            if self.state() is not State.ATTACHED:
                self._run("add_constraint", table=self._target(), name=ident(self.settings.constraint))
            beside()

        self.in_one_change(action)

    def drop(self) -> None:
        """Drop the constraint, or the index by its name in whatever state it is."""
        if self.state() is State.ATTACHED:
            self.in_one_change(
                lambda: self._run("drop_constraint", table=self._target(), name=ident(self.settings.constraint))
            )
        else:
            self.drop_index(self.settings.constraint)

    def in_one_change(self, action: Callable[[], None]) -> None:
        """Run a catalog change on the table as one transaction, with a short lock timeout, again until it gets through."""
        change_table(self.connection, self.settings, self.progress, self.table, action)

    def drop_index(self, name: str) -> None:
        """Drop an index without holding anybody up; nothing where there is none."""
        if self.state(name) is State.ABSENT:
            return
        self._wait_for_builder(name)
        with waiting_long(self.connection, self.settings):
            self._patiently(lambda: self._run("drop_index", index=ident(self.table.schema, name)), name)

    def _build(self, name: str, statement: str, merge: Callable[[], None]) -> None:
        """Build until it is valid. A failed build leaves a dead index, which may enforce: it goes first."""
        for _ in patiently(_BUILDS):
            self._wait_for_builder(name)
            if self.state(name) in (State.VALID, State.ATTACHED):
                return
            self.drop_index(name)
            if self._try_to_build(name, statement):
                return
            self.progress.note(f'the build of "{name}" met duplicates or a deadlock; merging them and building again')
            self.drop_index(name)
            merge()
        raise _never_built(name)

    def _try_to_build(self, name: str, statement: str) -> bool:
        columns = comma(ident(self.table.by_number[n].name) for n in self.key)
        try:
            with waiting_long(self.connection, self.settings):
                self._run(statement, name=ident(name), table=self._target(), columns=columns)
        except psycopg.Error as error:
            if error.sqlstate in _DUPLICATES or is_locked(error):
                return False
            raise
        return True

    def _wait_for_builder(self, name: str) -> None:
        """Somebody else builds this very index: it becomes valid or dead without us."""
        for attempt in patiently(self.settings.lock_attempts):
            if self.state(name) is not State.BUILDING:
                return
            if attempt == 1:
                self.progress.note(f'another session is building "{name}"; waiting for it')
        raise LockNotAcquired(f'index "{name}"', self.settings.lock_attempts)

    def _patiently(self, action: Callable[[], None], name: str) -> None:
        with_lock(self.connection, self.settings, self.progress, f'index "{name}"', action)

    def _target(self) -> sql.Identifier:
        return ident(self.table.schema, self.table.name)

    def _run(self, statement: str, **parts: sql.Composable) -> None:
        self.connection.execute(_SQL[statement].format(**parts), {})


def _never_built(name: str) -> ContactsSchemaError:
    return StatementFailed("23505", None, name)
