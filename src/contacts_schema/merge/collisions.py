"""Which rows would then be the same, and which of them is kept, as statements. Composes text; runs nothing."""

from dataclasses import dataclass

from psycopg import sql

from ..catalog.facts import Index
from ..compose import NOTHING, TRUE, Fragment, comma, differ, every, fragment, ident, some, template
from .images import Images
from .statements import SQL, NodeStatements, new, of, old, rows_of
from .tree import Edge, Node


@dataclass(frozen=True, kw_only=True)
class Collisions:
    """The rows of one node that collide under its unique indexes once they are moved."""

    images: Images

    @property
    def of_node(self) -> NodeStatements:
        return self.images.of_node

    @property
    def node(self) -> Node:
        return self.of_node.node

    def collide(self, index: Index) -> sql.Composed:
        keys = [ident(f"~k{i}") for i in range(len(index.keys))]
        order = [old(n) for n in self.node.table.primary_key]
        order_values = [template(", {}").format(self.of_node.column(n)) for n in self.node.table.primary_key]
        image = self.images.projected()
        if order:
            image = self._with_primary_key(image)
        return SQL["collide"].format(
            **self.of_node.parts,
            image=image,
            keys=self._keys(index),
            key_names=comma(keys),
            key_names_q=comma(of("~q", key) for key in keys),
            order_names=sql.Composed([template(", {}").format(o) for o in order]),
            order_values=sql.Composed(order_values),
            indexed=self.indexed(index),
            predicate=self.predicate(index),
            joined=self.equal(index, "~q"),
        )

    def blocked(self, index: Index) -> sql.Composed:
        return SQL["blocked"].format(
            **self.of_node.parts,
            image=self.images.projected(),
            keys=self._keys(index),
            indexed=self.indexed(index),
            predicate=self.predicate(index),
            joined=self.equal(index, "~q"),
        )

    @staticmethod
    def _keys(index: Index) -> Fragment:
        return comma(template("({}) AS {}").format(fragment(k), ident(f"~k{i}")) for i, k in enumerate(index.keys))

    def _with_primary_key(self, image: sql.Composed) -> sql.Composed:
        """The image with the row's present primary key beside it, to order by."""
        kept = sql.Composed([template(", {}").format(of("~r", old(n))) for n in self.node.table.primary_key])
        return template(
            'SELECT "~image0".*{} FROM ({}) AS "~image0" JOIN {} AS "~r"'
            ' ON "~r"."~tid" = "~image0"."~tid" AND coalesce("~r"."~rel" = "~image0"."~rel", false)'
        ).format(kept, image, self.of_node.rows)

    @staticmethod
    def predicate(index: Index) -> Fragment:
        return template("({})").format(fragment(index.predicate)) if index.predicate else TRUE

    def indexed(self, index: Index) -> Fragment:
        """The index would hold this row, and could find it equal to another."""
        not_null = [template("({}) IS NOT NULL").format(fragment(k)) for k in index.keys]
        return every([self.predicate(index), *([] if index.nulls_not_distinct else not_null)])

    @staticmethod
    def equal(index: Index, alias: str) -> Fragment:
        """The table's own row equals a row of ``alias``, as the index compares."""
        conditions: list[Fragment] = []
        for i, (key, operator) in enumerate(zip(index.keys, index.equality, strict=True)):
            expression, other = fragment(key), of(alias, ident(f"~k{i}"))
            same = template("({}) {} {}").format(expression, fragment(operator or "="), other)
            both_null = template("(({}) IS NULL AND {} IS NULL)").format(expression, other)
            conditions.append(some([same, both_null]) if index.nulls_not_distinct else same)
        return every(conditions)

    def follow_keepers(self) -> sql.Composed:
        return SQL["follow_keepers"].format(rows=self.of_node.rows)

    def lock_keepers(self, *, lock: bool) -> sql.Composed:
        strength = template("FOR NO KEY UPDATE OF {} NOWAIT").format(self.of_node.name) if lock else NOTHING
        return SQL["lock_keepers"].format(**self.of_node.parts, lock=strength)

    def take_keepers(self) -> sql.Composed:
        values = [
            template('{} = CASE WHEN "~k"."~tid" IS NULL THEN {} ELSE {} END').format(
                new(n), self.of_node.column(n), of("~k", new(n))
            )
            for n in self.node.kept
        ]
        return SQL["take_keepers"].format(**self.of_node.parts, values=comma(values))

    def different(self) -> sql.Composed:
        """To run before :meth:`take_keepers`, while every row still holds its own image."""
        numbers = self.node.content
        moved = self.node.moved
        kept = [
            template('CASE WHEN "~k"."~tid" IS NULL THEN {} ELSE {} END').format(
                of("~b", self.of_node.bare(n)), of("~k", new(n))
            )
            for n in moved
        ]
        return SQL["different"].format(
            rows=self.of_node.rows,
            table=self.of_node.table,
            differ=differ(
                [*(of("~a", self.of_node.bare(n)) for n in numbers), *(of("~r", new(n)) for n in moved)],
                [*(of("~b", self.of_node.bare(n)) for n in numbers), *kept],
            ),
        )

    def stranded(self, edge: Edge) -> sql.Composed:
        """Merged rows that hold the key of a parent which is moved, not merged."""
        return SQL["stranded"].format(
            **self.of_node.parts,
            parent=rows_of(self.of_node.parents[edge.parent]),
            joined=self.of_node.joined(edge),
            changed=self.of_node.altered(edge),
        )
