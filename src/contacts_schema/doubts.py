"""What rows that are there break as they are: they could be neither changed nor, once removed, inserted again."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import Connection, sql

from .catalog.facts import Computed, Rule
from .errors import Reason
from .merge.problems import rows
from .merge.resolve import Resolver
from .merge.statements import NodeStatements
from .merge.tree import Node
from .query import scalar
from .retry import may_pass
from .session import OWN_PATH

_NOTHING_SAID = ("08", "53", "54", "57", "58", "XX")


class Doubts:
    """The rules of one tree's tables that not every row need keep."""

    def __init__(self, connection: Connection[Any], resolver: Resolver, *, fills: bool) -> None:
        self.connection, self.resolver, self.fills = connection, resolver, fills

    def any(self) -> bool:
        """Whether some row breaks one of them, a merge's or not. Reads the tables until it finds one."""
        return any(self._ask(statements.broken_anywhere(rule)) is not False for statements, rule in self._rules())

    def reasons(self) -> Iterator[Reason]:
        """Those that a row breaks which is worked out to change or to go."""
        for statements, rule in self._rules():
            found = self._ask(statements.broken(rule, fills=self.fills))
            if isinstance(found, str):
                yield _failing(statements.node, rule, found)
            elif found:
                yield untaken(statements.node, rule, rows(int(found)))

    def of_indexes(self, own: str) -> Iterator[Reason]:
        """Unique indexes but for ``own`` that a build left half made: new rows must keep them, older ones may not."""
        for statements in self.resolver.statements:
            node = statements.node
            for index in node.table.indexes if node.merges and node.table.kind == "r" else ():
                half_built = index.enforcing and not index.valid and not (node.is_root and index.name == own)
                if half_built and self._ask(statements.twins(index)) is not False:
                    yield _half_built(node, index.name)

    def _rules(self) -> Iterator[tuple[NodeStatements, Rule]]:
        return ((statements, rule) for statements in self.resolver.statements for rule in statements.node.doubtful)

    def _ask(self, statement: sql.Composed) -> Any:
        return ask(self.connection, statement)


def ask(connection: Connection[Any], statement: sql.Composed) -> Any:
    """The value that a query of the user's expressions gives, or the SQLSTATE where one fails on a value of some row."""
    try:
        with connection.transaction():
            connection.execute(OWN_PATH)
            return scalar(connection, statement, {})
    except psycopg.Error as error:
        # A lock, a lost connection, a server that has run out of something: nothing is said about the rows.
        if may_pass(error) or error.sqlstate is None or error.sqlstate[:2] in _NOTHING_SAID:
            raise
        return error.sqlstate


def untaken(node: Node, rule: Rule, rows: str) -> Reason:
    """Why rows that break a rule refuse the run, in ``rows`` such as ``2 rows``."""
    table = node.table
    if isinstance(rule, Computed):
        return Reason(
            problem=f'in {rows} of "{table.label}" the generated column "{rule.name}" holds what its expression does not '
            "give today: they could not be brought back as they are",
            way_on="have these rows computed anew, by an UPDATE of a column that it depends on",
            code="untaken",
        )
    return Reason(
        problem=f'"{rule.name}" does not hold in {rows} of "{table.label}": they could not be changed, or not be brought '
        "back",
        way_on=f'correct these rows by hand first, or drop "{rule.name}"',
        code="untaken",
    )


def _half_built(node: Node, name: str) -> Reason:
    return Reason(
        problem=f'rows of "{node.table.label}" break the unique index "{name}", which is INVALID and enforced all the same: '
        "they could not be brought back",
        way_on=f'DROP INDEX CONCURRENTLY "{node.table.schema}"."{name}"',
        code="invalid_index",
    )


def _failing(node: Node, rule: Rule, sqlstate: str) -> Reason:
    return Reason(
        problem=f'"{rule.name}" of "{node.table.label}" cannot be computed for some row (SQLSTATE {sqlstate}): it could not '
        "be changed, or not be brought back",
        way_on="see to it that it can be computed for every row, or drop it",
        code="untaken",
    )
