"""The statements that work out one table's share of a batch, in their order."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from psycopg import Connection, sql

from ..compose import differ
from .collisions import Collisions
from .images import Images
from .own_references import OwnReferences
from .statements import SQL, NodeStatements, new, old, rows_of


class Script:
    """One node's statements in their order, each rendered once, with locks or without."""

    def __init__(self, statements: NodeStatements, lock: bool, connection: Connection[Any]) -> None:
        self.statements, self.lock, self.connection = statements, lock, connection
        self.node = statements.node
        self.images = Images(of_node=statements)
        self.collisions = Collisions(images=self.images)
        self.own_references = OwnReferences(of_node=statements)

    @cached_property
    def image(self) -> list[bytes]:
        """Rows that refer to a changed one, with what they will hold."""
        incoming = self.node.incoming
        if len(incoming) == 1:
            return self._render([self.images.hit_image(incoming[0], lock=self.lock)])
        hits = [self.statements.hit(edge, lock=self.lock) for edge in incoming]
        return self._render([*hits, self.images.image()] if hits else [])

    def _render(self, statements: Sequence[sql.Composable]) -> list[bytes]:
        return [statement.as_bytes(self.connection) for statement in statements]

    @cached_property
    def collide(self) -> list[bytes]:
        found: list[sql.Composable] = []
        for index in self.node.uniques:
            found.append(self.collisions.collide(index))
            found += [self.collisions.follow_keepers()] * (len(found) > 1)
        return self._render(found)

    @cached_property
    def blocked(self) -> list[bytes]:
        """Under one unique index alone the row that holds a key is the one that is kept."""
        uniques = self.node.uniques if len(self.node.uniques) > 1 else ()
        return self._render([self.collisions.blocked(index) for index in uniques])

    @cached_property
    def lock_keepers(self) -> bytes:
        return self._render([self.collisions.lock_keepers(lock=self.lock)])[0]

    @cached_property
    def different(self) -> bytes:
        return self._render([self.collisions.different()])[0]

    @cached_property
    def take_keepers(self) -> bytes:
        return self._render([self.collisions.take_keepers()])[0]

    @cached_property
    def own(self) -> list[bytes]:
        own = self.node.own
        hits: list[sql.Composable] = [self.own_references.empty_hits()]
        hits += [self.own_references.hit_own(edge, lock=self.lock) for edge in own]
        points = [point(edge) for edge in own for point in (self.own_references.point_own, self.own_references.source_own)]
        return self._render([*hits, self.own_references.image_own(), *points])

    @cached_property
    def own_collisions(self) -> bytes | None:
        """Rows whose reference to their own table changes while a unique index holds it."""
        moved = set(self.node.own_moved)
        if not any(i.unique and i.ready and moved & {*i.columns, *i.mentions} for i in self.node.table.indexes):
            return None
        changed = differ((old(n) for n in self.node.own_moved), (new(n) for n in self.node.own_moved))
        return self._render([SQL["count_column"].format(rows=self.statements.rows, changed=changed)])[0]

    @cached_property
    def stranded(self) -> list[bytes]:
        """Only a parent that is not the root can be moved with its key."""
        edges = [e for e in self.node.incoming if not self.statements.parents[e.parent].is_root]
        return self._render([self.collisions.stranded(edge) for edge in edges])

    @cached_property
    def analyze(self) -> list[bytes]:
        """All groups at once are many rows, of which the planner knows nothing."""
        if self.lock or self.torn is None:
            return []
        nodes = [self.node, *(self.statements.parents[edge.parent] for edge in self.node.sharing)]
        return self._render([SQL["analyze"].format(rows=rows_of(n)) for n in {n.position: n for n in nodes}.values()])

    @cached_property
    def torn(self) -> bytes | None:
        """In place of the tally's contradictions, which are those of a row's image alone."""
        torn = self.statements.torn()
        return None if torn is None else self._render([torn])[0]

    @cached_property
    def tally(self) -> bytes:
        return self._render([self.statements.tally()])[0]
