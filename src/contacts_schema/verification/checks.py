"""What is checked, each with what was expected and what was found."""

from collections.abc import Iterator
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from ..catalog.read import read_facts
from ..compose import comma, every, template
from ..errors import Refused
from ..merge.joins import condition, refers
from ..merge.root import RootStatements
from ..merge.statements import NodeStatements
from ..merge.tree import Edge, Node
from ..plan import Plan, make_plan
from ..session import OWN_PATH, at_home
from ..settings import Settings
from ..sql import load
from .cases import Check, tried

_SQL = load("verify")


def verify(connection: Connection[Any], settings: Settings) -> list[Check]:
    """Check one table, and try the three acceptance cases in a transaction that is rolled back.

    ``connection`` is a psycopg connection in autocommit mode and idle. Raises Refused where the table cannot be looked
    at, and what the server raises.
    """
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL row_security = off")
        connection.execute("SET LOCAL lock_timeout = '2s'")
        connection.execute("SET LOCAL statement_timeout = 0")
        at_home(connection, settings.schema, local=True)
        connection.execute(OWN_PATH)
        plan = make_plan(read_facts(connection, settings), settings)
        if plan.target is None or plan.tree is None or plan.target.kind not in "rp":
            raise Refused(plan.reasons)
        return [*_Checks(connection, plan).all()]


class _Checks:
    def __init__(self, connection: Connection[Any], plan: Plan) -> None:
        assert plan.tree is not None
        self.connection, self.plan, self.settings, self.tree = connection, plan, plan.settings, plan.tree
        self.root = RootStatements(node=plan.tree.root, key=plan.key, survivor_order="")

    def all(self) -> Iterator[Check]:
        yield self._columns()
        yield self._valid()
        yield self._duplicates()
        for node in self.tree.nodes:
            for edge in (*node.incoming, *node.own):
                yield self._dangling(node, edge)
        yield from tried(self.connection, self.plan)

    def _columns(self) -> Check:
        values = {"constraint": self.settings.constraint, "schema": self.root.table.schema, "table": self.root.table.name}
        found = [row["name"] for row in self._rows(_SQL["key_columns"].format(), values)]
        expected = f"{self.settings.constraint} UNIQUE ({', '.join(self.settings.columns)}) in information_schema"
        return Check(
            name="constraint",
            ok=sorted(found) == sorted(self.settings.columns),
            expected=expected,
            found=f"UNIQUE ({', '.join(found)})" if found else "no such constraint",
        )

    def _valid(self) -> Check:
        index = self.plan.constraint_index
        faults = ["no index of this name"]
        if index is not None:
            told = {
                "not valid": not index.valid,
                "not ready": not index.ready,
                "not unique": not index.unique,
                "deferrable": index.deferrable,
                "partial": index.predicate is not None,
                "NULLS NOT DISTINCT": index.nulls_not_distinct,
                "another key": not self.plan.means_key(index),
            }
            faults = [fault for fault, there in told.items() if there]
        return Check(
            name="index",
            ok=not faults,
            expected="a valid unique index over exactly the key",
            found=", ".join(faults) or "valid",
        )

    def _duplicates(self) -> Check:
        keys = [self.root.of_node.bare(number) for number in self.plan.key]
        count = self._count(
            _SQL["count_groups"].format(
                table=self.root.of_node.table,
                keys=comma(keys),
                has_key=every(template("{} IS NOT NULL").format(key) for key in keys),
            )
        )
        return Check(name="duplicates", ok=not count, expected="no duplicates", found=_counted(count, "group"))

    def _dangling(self, node: Node, edge: Edge) -> Check:
        parents = self.tree.by_table
        child = NodeStatements(node=node, parents=dict(parents))
        parent = NodeStatements(node=parents[edge.parent], parents=dict(parents))
        count = self._count(
            _SQL["count_dangling"].format(
                table=child.table,
                name=child.name,
                parent=parent.table,
                refers=every(template("{} IS NOT NULL").format(child.column(pair.child)) for pair in edge.pairs),
                condition=condition(edge),
                joined=refers(edge, parent.row("~p"), child.column),
            )
        )
        columns = node.table.names(tuple(pair.child for pair in edge.pairs))
        return Check(
            name="references",
            ok=not count,
            expected=f"every {node.table.label} ({columns}) leads to a row of {parent.node.table.label}",
            found=f"{_counted(count, 'row')} that lead nowhere" if count else "all do",
        )

    def _rows(self, statement: sql.Composed, values: dict[str, Any]) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchall()

    def _count(self, statement: sql.Composed) -> int:
        return int(self._rows(statement, {})[0]["rows"])


def _counted(count: int, noun: str) -> str:
    return "none" if not count else f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
