"""Blank phones are no phone numbers: turns them into NULL, journaled, and goes on doing so by a small trigger."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from psycopg import Connection, Rollback, sql

from .archive import Archive, Relation
from .archive_layout import key
from .catalog.facts import Table
from .compose import Fragment, comma, ident, literal, plain, template
from .ddl import change_table
from .merge.root import blank
from .merge.statements import new, old
from .query import scalar
from .report import Progress
from .retry import patiently, with_lock
from .session import OWN_PATH
from .settings import Settings
from .sql import load

_SQL = load("guard")
# Sorts behind other BEFORE triggers, and so sees the phone that they made.
TRIGGER = "zz_contacts_schema_blank"
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Blanks:
    """The blank phones of one table."""

    connection: Connection[Any]
    settings: Settings
    table: Table
    phone: int
    progress: Progress

    @cached_property
    def target(self) -> sql.Identifier:
        return ident(self.table.schema, self.table.name)

    @cached_property
    def function(self) -> sql.Identifier:
        return ident(self.settings.private_schema, f"blank_{self.table.oid}")

    def ensure_trigger(self) -> None:
        """From here on no blank phone is stored any more."""
        if not self.is_there():
            self._change(self._create)

    def remove_trigger(self) -> None:
        """Let blanks be stored again; nothing where there is no trigger of ours."""
        if self.is_there():
            self._change(self._drop)

    def empty(self, archive: Archive, run: int) -> int:
        """Turn the blanks into NULL, some at a time; gives how many rows changed."""
        total = 0
        for _ in patiently(self.settings.lock_attempts):
            while changed := self._patiently(partial(self._empty_some, archive, run)):
                total += changed
            if not self._patiently(self._left):
                break
        return total

    def _empty_some(self, archive: Archive, run: int) -> int:
        with self.connection.transaction():
            self.connection.execute(OWN_PATH)
            journal = self.journal(archive)
            (op,) = archive.begin_batch(run, [("blank", [journal.id])])
            statement = self.emptying(archive.schema, journal)
            changed = self.connection.execute(statement, {"op": op, "limit": _BATCH}).rowcount
            if not changed:
                raise Rollback
        return changed

    def journal(self, archive: Archive) -> Relation:
        """A row is noted whole: other triggers may change more of it."""
        return archive.journal_of(self.table, self._numbers, (self.phone,))

    @property
    def _numbers(self) -> list[int]:
        return [c.number for c in self.table.columns if not c.generated]

    def emptying(self, schema: str, journal: Relation) -> sql.Composed:
        """The statement that turns some blanks into NULL; takes ``op`` and ``limit``."""
        numbers, keys = self._numbers, self.table.primary_key
        return _SQL["blank_batch"].format(
            table=self.target,
            name=ident(self.table.name),
            phone=self._name(self.phone),
            blank=self.blanks(),
            before=sql.Composed([template(", {} AS {}").format(self._name(n), old(n)) for n in numbers]),
            journal=ident(schema, journal.name),
            journaled=comma(
                [
                    *(template("{}.{}").format(ident(self.table.name), self._name(n)) for n in keys),
                    *(template('"~some".{}').format(old(n)) for n in numbers),
                    *(template("{}.{}").format(ident(self.table.name), self._name(n)) for n in numbers),
                ]
            ),
            columns=comma([ident("~op"), *(key(n) for n in keys), *(old(n) for n in numbers), *(new(n) for n in numbers)]),
        )

    def _left(self) -> bool:
        return bool(scalar(self.connection, _SQL["blanks_left"].format(table=self.target, blank=self.blanks()), {}))

    def _create(self) -> None:
        function, trigger = self.creating()
        self.connection.execute(function, {})
        Archive(self.connection, self.settings.private_schema).close()
        self.connection.execute(trigger, {})

    def creating(self) -> tuple[sql.Composed, sql.Composed]:
        """The statements that create the function, not yet closed to others, and the trigger."""
        body = plain(_SQL["blank_body"].format(phone=self._name(self.phone))) + ";"
        return (
            _SQL["create_blank_function"].format(function=self.function, body=literal(body)),
            _SQL["create_blank_trigger"].format(
                trigger=ident(TRIGGER),
                table=self.target,
                function=self.function,
                blank=blank(template("NEW.{}").format(self._name(self.phone))),
            ),
        )

    def is_there(self) -> bool:
        """The trigger is, enabled or not."""
        return any(trigger.name == TRIGGER for trigger in self.table.triggers)

    def dropping(self) -> tuple[sql.Composed, sql.Composed]:
        """The statements that take both away."""
        return (
            _SQL["drop_trigger"].format(trigger=ident(TRIGGER), table=self.target),
            _SQL["drop_function"].format(function=self.function),
        )

    def _drop(self) -> None:
        for statement in self.dropping():
            self.connection.execute(statement, {})

    def blanks(self) -> Fragment:
        """The condition that a row's phone is blank."""
        return blank(self._name(self.phone))

    def _name(self, number: int) -> sql.Identifier:
        return ident(self.table.by_number[number].name)

    def _patiently(self, action: Callable[[], int]) -> int:
        return with_lock(self.connection, self.settings, self.progress, f"rows of {self.table.label}", action)

    def _change(self, action: Callable[[], None]) -> None:
        change_table(self.connection, self.settings, self.progress, self.table, action)
