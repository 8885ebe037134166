"""The three acceptance cases, tried on the live table in the caller's transaction, which undoes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from ..compose import ident, template
from ..plan import Plan
from ..sql import load
from .specimens import Column, NoSpecimen, Specimens

_SQL = load("verify")

_DUPLICATE: Final = "23505"
_TRIES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: a short stable name for programs, whether it holds, and both sides of it for people.

    `ok` is None where that could not be tried: something else stood in the way, which says nothing about it.
    """

    name: str
    ok: bool | None
    expected: str
    found: str


@dataclass(frozen=True, kw_only=True)
class _Contact:
    """A contact to make others from: its place, where it is a real one, and its key as text."""

    place: str | None
    workspace: str
    phone: str


def tried(connection: Connection[Any], plan: Plan) -> Iterator[Check]:
    """Try all three. What cannot be tried says why."""
    cases = _Cases(connection, plan)
    refused = f"rejected by {plan.settings.constraint} (SQLSTATE {_DUPLICATE})"
    yield cases.case("duplicate phone in the same workspace", refused, cases.duplicate)
    yield cases.case("same phone in another workspace", "allowed", cases.other_workspace)
    yield cases.case("another phone in the same workspace", "allowed", cases.other_phone)


class _Rejected(Exception):
    """Our constraint, and nothing else, kept the row out."""


class _Cases:
    def __init__(self, connection: Connection[Any], plan: Plan) -> None:
        assert plan.target is not None
        self.connection, self.plan, self.table = connection, plan, plan.target
        self.specimens = Specimens(connection)
        columns = {column.name: column for column in self.specimens.columns(self.table.oid)}
        names = [self.table.by_number[number].name for number in plan.key]
        self.workspace, self.phone = (columns.get(name) for name in names)

    def case(self, name: str, expected: str, insert: Callable[[], None]) -> Check:
        try:
            with self.connection.transaction(force_rollback=True):
                insert()
        except _Rejected:
            return Check(name=name, ok=True, expected=expected, found=expected)
        except NoSpecimen as reason:
            return Check(name=name, ok=None, expected=expected, found=f"not tried: {reason}")
        except psycopg.Error as error:
            by = error.diag.constraint_name or error.diag.table_name
            found = f"rejected{f' by {by}' if by else ''} (SQLSTATE {error.sqlstate})"
            ok = False if self._of_the_key(by) else None
            return Check(name=name, ok=found == expected or ok, expected=expected, found=found)
        return Check(name=name, ok=expected == "allowed", expected=expected, found="allowed")

    def _of_the_key(self, name: str | None) -> bool:
        """A unique index over columns of the key alone; whatever else rejects a row says nothing about the constraint."""
        for index in self.table.indexes:
            if index.name == name and index.unique:
                return set(index.columns) <= set(self.plan.key)
        return False

    def duplicate(self) -> None:
        """A second row with the key of the first. Our constraint is asked before all others, which may object too."""
        contact = self._contact()
        if self.plan.constrained and not self._stored(contact):
            with self.connection.transaction(force_rollback=True):
                self.other_phone()
            raise _Rejected
        self._insert(contact, contact.workspace, contact.phone)

    def _stored(self, contact: _Contact) -> bool:
        columns = self._columns()
        given = {columns[0].name: contact.workspace, columns[1].name: contact.phone}
        unless = self.plan.settings.constraint
        return self.specimens.insert(self.table.oid, given, contact.place, columns[0].name, unless=unless) is not None

    def other_workspace(self) -> None:
        """The phone of a contact, in a workspace where nobody has it."""
        contact = self._contact()
        self._insert(contact, self._free_workspace(contact), contact.phone)

    def other_phone(self) -> None:
        """A phone that nobody has there."""
        contact = self._contact()
        self._insert(contact, contact.workspace, self._free_phone(contact))

    def _contact(self) -> _Contact:
        workspace, phone = self._columns()
        statement = _SQL["real_row"].format(
            workspace=ident(workspace.name),
            phone=ident(phone.name),
            table=self._name(),
            has_key=template("{} IS NOT NULL AND {} IS NOT NULL").format(ident(workspace.name), ident(phone.name)),
        )
        found = self._row(statement)
        if found:
            return _Contact(place=found["ctid"], workspace=found["workspace"], phone=found["phone"])
        made = _Contact(place=None, workspace=self._any_workspace(workspace), phone=self.specimens.sample(phone))
        self._insert(made, made.workspace, made.phone)
        return made

    def _columns(self) -> tuple[Column, Column]:
        if self.workspace is None or self.phone is None:
            raise NoSpecimen("a column of the key is generated")
        return self.workspace, self.phone

    def _insert(self, contact: _Contact, workspace: str, phone: str) -> None:
        columns = self._columns()
        given = {columns[0].name: workspace, columns[1].name: phone}
        if self.specimens.insert(self.table.oid, given, contact.place, columns[0].name) is None:
            raise NoSpecimen("a trigger or a rule swallows new rows")

    def _any_workspace(self, column: Column) -> str:
        return self.specimens.reference(column) if column.parent else self.specimens.sample(column)

    def _free_workspace(self, contact: _Contact) -> str:
        column, phone = self._columns()
        if column.parent is None:
            return self.specimens.value(self.table.oid, column)
        assert column.parent_column is not None
        other = _SQL["other_parent"].format(
            column=ident(column.parent_column),
            parent=self.specimens.name(column.parent),
            table=self._name(),
            workspace=ident(column.name),
            phone=ident(phone.name),
            type=phone.sql_type,
        )
        found = self._row(other, phone=contact.phone)
        return str(found["value"]) if found else self.specimens.parent(column)

    def _free_phone(self, contact: _Contact) -> str:
        """One of the same form as the real one, so that it passes whatever checks that one has passed."""
        workspace, phone = self._columns()
        for number in range(_TRIES):
            candidate = _varied(contact.phone, number)
            there = _SQL["has_key_already"].format(
                table=self._name(),
                workspace=ident(workspace.name),
                phone=ident(phone.name),
                workspace_type=workspace.sql_type,
                phone_type=phone.sql_type,
            )
            found = self._row(there, workspace=contact.workspace, phone=candidate)
            if candidate != contact.phone and found and not found["there"]:
                return candidate
        raise NoSpecimen(f"no free phone was found in {_TRIES} tries")

    def _name(self) -> Any:
        return ident(self.table.schema, self.table.name)

    def _row(self, statement: Any, **values: str) -> dict[str, Any] | None:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchone()


def _varied(phone: str, number: int) -> str:
    """The same with other digits at its end; where it has none, with digits behind it."""
    digits = [place for place, character in enumerate(phone) if character.isdecimal()][-2:]
    if not digits:
        return f"{phone}{number}"
    varied = list(phone)
    for place, digit in zip(digits, f"{number:0{len(digits)}}"[-len(digits) :], strict=True):
        varied[place] = digit
    return "".join(varied)
