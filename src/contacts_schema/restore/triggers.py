"""Lets a table's triggers rest for one transaction, each put back to the very state it had."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, sql

from ..catalog.facts import Table, Trigger
from ..catalog.read import find_table
from ..compose import Fragment, comma, ident, template
from ..ddl import past_vacuum
from ..errors import TableReplaced
from .sources import SQL

_ENABLE = {"O": "ENABLE TRIGGER", "R": "ENABLE REPLICA TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}


def lock(connection: Connection[Any], tables: Iterable[Table]) -> None:
    """Lock what the batch writes to, always in one order; strongly where triggers must rest. Raises TableReplaced."""
    ordered = sorted({table.oid: table for table in tables}.values(), key=lambda t: t.oid)
    for table in ordered:
        mode = template("SHARE ROW EXCLUSIVE" if _active(table) else "ROW EXCLUSIVE")
        names: Fragment = comma([ident(table.schema, table.name)])
        connection.execute(SQL["lock_tables"].format(tables=names, mode=mode), {})
        # It was locked by its name, which may be another one's since it was read about.
        if find_table(connection, table.schema, table.name) != table.oid:
            raise TableReplaced(table.label)


def make_way(connection: Connection[Any], tables: Iterable[Table]) -> None:
    """End the autovacuums that keep triggers from resting. One table after the other: nobody waits for two of them."""
    for table in tables:
        if _active(table):
            with connection.transaction():
                past_vacuum(connection, [ident(table.schema, table.name)])


@contextmanager
def resting(connection: Connection[Any], tables: Iterable[Table]) -> Iterator[None]:
    """No user trigger of these tables fires meanwhile: each row comes back as it was.

    Not ``session_replication_role``: that would let foreign keys rest too. An error leaves the states to the
    transaction that is rolled back.
    """
    listed = list(tables)
    for statement in disabling(listed):
        connection.execute(statement, {})
    yield
    for statement in enabling(listed):
        connection.execute(statement, {})


def disabling(tables: Iterable[Table]) -> list[sql.Composed]:
    """The statements after which no trigger of these tables fires."""
    return [_alter(table, trigger, "DISABLE TRIGGER") for table in tables for trigger in _active(table)]


def enabling(tables: Iterable[Table]) -> list[sql.Composed]:
    """The statements that put each back to the state it has."""
    return [_alter(table, trigger, _ENABLE[trigger.enabled]) for table in tables for trigger in _active(table)]


def _active(table: Table) -> list[Trigger]:
    return [trigger for trigger in table.triggers if trigger.enabled != "D"]


def _alter(table: Table, trigger: Trigger, action: str) -> sql.Composed:
    return template(f"ALTER TABLE {{}} {action} {{}}").format(ident(table.schema, table.name), ident(trigger.name))
