"""References of a table to itself, as statements. Composes text; runs nothing."""

from dataclasses import dataclass

from psycopg import sql

from ..compose import Fragment, comma, template
from .joins import cast, condition
from .statements import SQL, NodeStatements, new, of, source
from .tree import Edge, Node


@dataclass(frozen=True, kw_only=True)
class OwnReferences:
    """Rows of one node that refer to duplicates of their own table."""

    of_node: NodeStatements

    @property
    def node(self) -> Node:
        return self.of_node.node

    def hit_own(self, edge: Edge, *, lock: bool) -> sql.Composed:
        strength = "FOR UPDATE" if self.node.key_changes else "FOR NO KEY UPDATE"
        return self.of_node.find("hit_own", edge, strength if lock else None)

    def empty_hits(self) -> sql.Composed:
        return SQL["empty_hits"].format(hits=self.of_node.hits)

    def image_own(self) -> sql.Composed:
        return SQL["image_own"].format(
            **self.of_node.parts,
            hits=self.of_node.hits,
            values=sql.Composed(
                [template(", {}, {}").format(self.of_node.column(n), self.of_node.column(n)) for n in self.node.kept]
            ),
            sources=sql.Composed([sql.SQL(", NULL::bigint") for _ in self.node.changed]),
        )

    def point_own(self, edge: Edge) -> sql.Composed:
        values: list[Fragment] = []
        for pair in edge.pairs:
            if pair.child in self.node.own_moved:
                values.append(template("{} = {}").format(new(pair.child), cast(pair, of("~p", new(pair.parent)))))
                values.append(template('{} = "~p"."~row"').format(source(pair.child)))
        return SQL["point_own"].format(
            **self.of_node.parts,
            values=comma(values),
            joined=self.of_node.joined(edge),
            changed=self.of_node.altered(edge),
            condition=condition(edge),
        )

    def source_own(self, edge: Edge) -> sql.Composed:
        """For :meth:`point_own`'s other half: duplicates among themselves."""
        moved = [pair.child for pair in edge.pairs if pair.child in self.node.own_moved]
        return SQL["source_own"].format(
            **self.of_node.parts,
            values=comma(template('{} = "~p"."~row"').format(source(n)) for n in moved),
            joined=self.of_node.joined(edge),
            condition=condition(edge),
        )
