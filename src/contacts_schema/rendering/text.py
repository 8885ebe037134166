"""A script in the making: statements as text that psql, or a driver given the whole as one string, runs as it is."""

import re
from itertools import count
from typing import Any

from psycopg import sql

from ..compose import Fragment, literal
from ..errors import Reason
from ..settings import Settings
from ..sql import load

SQL = load("rendering")
_VALUE = re.compile(r"%%|%\((\w+)\)s")
_BLOCK = re.compile(r"^DO (\$\w+\$)", re.MULTILINE)


def text_of(statement: Fragment | bytes, **values: Any) -> str:
    """The statement as the server would get it from a driver, its values in their places."""
    text = statement.decode() if isinstance(statement, bytes) else statement.as_string(None)
    return _VALUE.sub(lambda found: value_of(values[found[1]]) if found[1] else "%", text)


def value_of(value: Any) -> str:
    """A value as SQL: a fragment as it is, a list as an array, anything else as a constant."""
    if isinstance(value, sql.Composable):
        return text_of(value)
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(value_of, value))}]" if value else "'{}'"
    return sql.Literal(value).as_string(None)


def embedded(statement: Fragment | bytes, **values: Any) -> sql.SQL:
    """A statement with its values in their places, to be put into another one."""
    return sql.SQL(text_of(statement, **values).replace("%", "%%"))


def _requoted(text: str) -> str:
    """A block whose dollar quotes a name inside of it would end gets others."""
    block = _BLOCK.search(text)
    if block is None or text.count(block[1]) == 2:
        return text
    tag = next(tag for tag in (f"$block{n}$" for n in count()) if tag not in text)
    before, _, rest = text.partition(block[1])
    body, _, after = rest.rpartition(block[1])
    return f"{before}{tag}{body}{tag}{after}"


class Text:
    """One part of a script: what ``settings``' table is to go through under this ``name``.

    A client may go on after an error, with a savepoint before each statement. So every block asks whether the one before
    it has passed, and the commit fails where the last one has not.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._name, self._passed = literal(f"{settings.schema}.{settings.table}: {name}"), 0
        self._parts: list[str] = []
        self.run(SQL["begin_part"].format(name=self._name))

    def __str__(self) -> str:
        return "\n\n".join(self._parts)

    def say(self, *lines: str) -> None:
        """Add a comment. A name in it must not end it."""
        self._parts.append("\n".join(f"-- {' '.join(line.split())}" for line in lines))

    def run(self, statement: Fragment | bytes, **values: Any) -> None:
        """Add a statement."""
        self._parts.append(f"{_requoted(text_of(statement, **values))};")

    def block(self, template: sql.SQL, **parts: Fragment) -> None:
        """Add a block, which has a place for what is asked ``before`` it and noted ``after`` it."""
        passed = {"name": self._name, "passed": sql.Literal(self._passed)}
        self._passed += 1
        self.run(template.format(before=SQL["passed"].format(**passed), after=SQL["note"].format(**passed), **parts))

    def refuse(self, found: Fragment, reason: Reason) -> None:
        """Stop where ``found``, a query for a number of rows, finds any; ``{rows}`` in the problem is that number."""
        self.block(SQL["refuse"], found=found, problem=literal(reason.problem), way_on=literal(reason.way_on))

    def refuse_if(self, condition: Fragment, reason: Reason) -> None:
        """Stop where a condition holds."""
        self.refuse(sql.SQL("SELECT ({})::int").format(condition), reason)

    def end(self) -> str:
        """Note that everything has passed; gives the whole."""
        self.block(SQL["end_part"], name=self._name)
        return str(self)
