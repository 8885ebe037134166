"""Works out a batch: from the root's duplicates down to every row that changes. Reads, locks, and fills temporary tables."""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from ..compose import comma
from .collisions import Collisions
from .images import Images
from .script import Script
from .statements import SQL, NodeStatements
from .tree import Edge, Node, Tree


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a batch would do to one table, and what it must not do.

    ``merged`` rows go into others, ``moved`` rows change. The rest are problems: rows that two references pull apart,
    that lose a key because their survivor has none, that collide and differ, and rows further up the tree that refer
    to merged ones.
    """

    node: Node
    merged: int
    moved: int
    contradictions: int = 0
    unkeyed: int = 0
    different: int = 0
    cyclic: int = 0
    own_collisions: int = 0
    blocked: int = 0
    stranded: int = 0

    @property
    def keyless(self) -> int:
        """Rows that would go into others, of a table without a primary key."""
        return 0 if self.node.table.primary_key else self.merged


class Contended(Exception):
    """Somebody else has a row of the batch; it is undone and tried again."""


class Resolver:
    """Runs the working-out of batches for one tree on one connection."""

    def __init__(self, connection: Connection[Any], tree: Tree) -> None:
        self.connection, self.tree = connection, tree
        self.at_work = tree.root
        self.parents = {node.table.oid: node for node in tree.nodes}
        self.statements = [NodeStatements(node=node, parents=self.parents) for node in tree.nodes]
        self._scripts = {lock: [self._script(s, lock=lock) for s in self.statements] for lock in (True, False)}

    def create(self) -> None:
        """Make the temporary tables of every node, once a session."""
        for statements in self.statements:
            for statement in statements.create():
                self.connection.execute(statement, {})
        # Of a table that was never analysed the planner expects ten pages, and would rather read a whole index of contacts
        # than look up the few rows of a batch.
        tables = comma(table for statements in self.statements for table in (statements.rows, statements.hits))
        self.connection.execute(SQL["analyze"].format(rows=tables), {})

    def collisions(self, node: Node) -> Collisions:
        """The statements about rows of a node that is worked out."""
        return Collisions(images=Images(of_node=self.statements[node.position]))

    def resolve(self, *, lock: bool) -> list[Tally]:
        """Work out everything that follows from the duplicates in the root's rows. Raises Contended."""
        tallies = [self._resolve(script) for script in self._scripts[lock]]
        for edge in self.tree.cycles:
            self._count_cycle(edge, tallies)
        return tallies

    def _script(self, statements: NodeStatements, *, lock: bool) -> Script:
        return Script(statements, lock, self.connection)

    def _resolve(self, script: Script) -> Tally:
        self.at_work = script.node
        if script.node.plain:
            return Tally(node=script.node, merged=0, moved=0)
        for statement in script.image:
            self.connection.execute(statement, {})
        merging = self._merge(script) if script.node.uniques else {}
        collisions = self._own(script) if script.node.own else 0
        tally = self._row(script.tally)
        for statement in script.analyze:
            self.connection.execute(statement, {})
        if script.torn:
            tally |= {"contradictions": int(self._row(script.torn)["rows"])}
        return Tally(node=script.node, own_collisions=collisions, **merging, **tally)

    def _merge(self, script: Script) -> dict[str, int]:
        for statement in script.collide:
            self.connection.execute(statement, {})
        if self._row(script.lock_keepers)["missing"]:
            raise Contended
        different = int(self._row(script.different)["rows"])
        blocked = sum(int(self._row(statement)["rows"]) for statement in script.blocked)
        stranded = sum(int(self._row(statement)["rows"]) for statement in script.stranded)
        self.connection.execute(script.take_keepers, {})
        return {"different": different, "blocked": blocked, "stranded": stranded}

    def _own(self, script: Script) -> int:
        for statement in script.own:
            self.connection.execute(statement, {})
        return int(self._row(script.own_collisions)["rows"]) if script.own_collisions else 0

    def _count_cycle(self, edge: Edge, tallies: list[Tally]) -> None:
        statements = self.statements[self.parents[edge.child].position]
        found = self._row(statements.count_referring(edge).as_bytes(self.connection))
        position = self.parents[edge.parent].position
        tally = tallies[position]
        tallies[position] = Tally(**{**tally.__dict__, "cyclic": tally.cyclic + int(found["rows"])})

    def _row(self, statement: bytes) -> dict[str, Any]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement, {}).fetchone()
        assert row is not None
        return row
