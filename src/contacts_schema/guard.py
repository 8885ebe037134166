"""Keeps new duplicates out until the constraint does: a trigger that answers as the unique index would."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from .archive import Archive
from .catalog.facts import Table
from .compose import Fragment, comma, every, fragment, ident, literal, plain, template
from .ddl import change_table
from .query import scalar
from .report import Progress
from .settings import Settings
from .sql import load

_SQL = load("guard")
INSERT_TRIGGER = "contacts_schema_guard_insert"
UPDATE_TRIGGER = "contacts_schema_guard_update"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The guard of one table and key. It stands or it does not; there is no half."""

    connection: Connection[Any]
    settings: Settings
    table: Table
    key: tuple[int, ...]
    progress: Progress

    @cached_property
    def target(self) -> sql.Identifier:
        return ident(self.table.schema, self.table.name)

    @cached_property
    def claims(self) -> sql.Identifier:
        return ident(self.settings.private_schema, f"claims_{self.table.oid}")

    @cached_property
    def function(self) -> sql.Identifier:
        return ident(self.settings.private_schema, self._function_name)

    @property
    def _function_name(self) -> str:
        return f"guard_{self.table.oid}"

    def stands(self) -> bool:
        """Both triggers are there, enabled, and made from this very text."""
        found = [(row["name"], row["made_from"], row["enabled"]) for row in self._state()]
        return found == [(name, self._digest, "O") for name in (INSERT_TRIGGER, UPDATE_TRIGGER)]

    def is_there(self) -> bool:
        """Some part of it is there, be it only the function where somebody dropped the triggers."""
        return bool(scalar(self.connection, _SQL["is_there"].format(), self._place))

    def ensure(self) -> None:
        """Put the guard up where it does not stand as it should."""
        if not self.stands():
            change_table(self.connection, self.settings, self.progress, self.table, self._put_up)

    def remove(self) -> None:
        """Take the guard away, in the caller's transaction."""
        self._drop_triggers()
        self._run("drop_function", function=self.function)
        self._run("drop_claims", claims=self.claims)

    def _drop_triggers(self) -> None:
        for trigger in self._state():
            self._run("drop_trigger", trigger=ident(trigger["name"]), table=self.target)

    def _put_up(self) -> None:
        self._run("create_claims", claims=self.claims)
        self.connection.execute(template("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(self.claims), {})
        self._run("create_function", function=self.function, body=literal(self._body))
        Archive(self.connection, self.settings.private_schema).close()
        self._drop_triggers()
        for name, statement in ((INSERT_TRIGGER, "create_insert_trigger"), (UPDATE_TRIGGER, "create_update_trigger")):
            self._run(statement, trigger=ident(name), **self._trigger_parts)
            self._run("comment_trigger", trigger=ident(name), table=self.target, text=literal(self._digest))

    @cached_property
    def _trigger_parts(self) -> dict[str, Fragment]:
        has_key = every(template("NEW.{} IS NOT NULL").format(self._name(n)) for n in self.key)
        return {
            "table": self.target,
            "function": self.function,
            "has_key": has_key,
            "unchanged": self._same("OLD", "NEW"),
        }

    @cached_property
    def _body(self) -> str:
        index = self.table.primary_index
        assert index is not None  # refused before
        same_row = every(
            template("existing.{} {} NEW.{}").format(self._name(n), fragment(op or "="), self._name(n))
            for n, op in zip(index.columns, index.equality, strict=True)
        )
        message = f'duplicate key value violates unique constraint "{self.settings.constraint}"'
        body = _SQL["body"].format(
            claims=self.claims,
            table=self.target,
            new_key=comma(template("NEW.{}").format(self._name(n)) for n in self.key),
            same_key=self._same("existing", "NEW"),
            same_row=same_row,
            message=literal(message),
            constraint=literal(self.settings.constraint),
        )
        return plain(body, self.connection) + ";"

    @cached_property
    def _digest(self) -> str:
        triggers = "".join(plain(part, self.connection) for part in self._trigger_parts.values())
        # A name may have gone over to another column; the condition of a trigger stays with the column it was made for.
        made_from = f"{self._body}{triggers}{self.key}"
        return f"contacts_schema {hashlib.sha256(made_from.encode()).hexdigest()[:32]}"

    def _same(self, left: str, right: str) -> Fragment:
        return every(
            template(f"{left}.{{}} {{}} {right}.{{}}").format(
                self._name(n), fragment(self.table.by_number[n].equality or "="), self._name(n)
            )
            for n in self.key
        )

    def _name(self, number: int) -> sql.Identifier:
        return ident(self.table.by_number[number].name)

    @property
    def _place(self) -> dict[str, Any]:
        return {"table": self.table.oid, "schema": self.settings.private_schema, "function": self._function_name}

    def _state(self) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_SQL["state"].format(), self._place).fetchall()

    def _run(self, statement: str, **parts: Fragment) -> None:
        self.connection.execute(_SQL[statement].format(**parts), {})
