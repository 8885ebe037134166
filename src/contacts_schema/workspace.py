"""The session's temporary tables for one plan, and the statements over them."""

from typing import Any

from psycopg import Connection

from .merge.resolve import Resolver
from .merge.root import RootStatements
from .plan import Plan


class Workspace:
    """Made anew where ``create`` says so; else only the statements are there."""

    def __init__(self, connection: Connection[Any], plan: Plan, *, create: bool) -> None:
        assert plan.tree is not None
        self.connection = connection
        self.resolver = Resolver(connection, plan.tree)
        self.root = RootStatements(node=plan.tree.root, key=plan.key, survivor_order=plan.survivor_order)
        if create:
            self._create()

    def _create(self) -> None:
        """Make them anew: they are shaped as the plan's tables are."""
        self.connection.execute("DISCARD TEMP")
        for statement in self.root.create():
            self.connection.execute(statement, {})
        self.resolver.create()
