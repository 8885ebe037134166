"""What the rows that refer to a changed row will hold, as statements. Composes text; runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from ..compose import Fragment, comma, differ, fragment, ident, some, template
from .joins import cast, condition
from .statements import SQL, NodeStatements, new, of, old, rows_of, source
from .tree import Edge, Node, Pair


@dataclass(frozen=True, kw_only=True)
class Images:
    """The new images of one node's rows."""

    of_node: NodeStatements

    @property
    def node(self) -> Node:
        return self.of_node.node

    def hit_image(self, edge: Edge, *, lock: bool) -> sql.Composed:
        """For a node with one incoming reference: hits and images in one statement."""
        values = [(self.of_node.column(n), old(n)) for n in self.node.kept]
        images = [(self.moved_value(n), new(n)) for n in self.node.kept]
        pairs = [pair for both in zip(values, images, strict=True) for pair in both]
        pairs += [(self.moved_source(n), source(n)) for n in self.node.changed]
        return self.of_node.find(
            "hit_image",
            edge,
            self.of_node.strength if lock else None,
            rows=self.of_node.rows,
            values=sql.Composed([template(", {} AS {}").format(value, name) for value, name in pairs]),
            value_names=sql.Composed([template(", {}").format(name) for _, name in pairs]),
        )

    def image(self) -> sql.Composed:
        edges = list(enumerate(self.node.incoming))
        parents = [
            template("LEFT JOIN {} AS {} ON {} AND {} AND {}").format(
                rows_of(self.of_node.parents[edge.parent]),
                ident(f"~e{i}"),
                self.of_node.joined(edge, f"~e{i}"),
                self.of_node.altered(edge, f"~e{i}"),
                condition(edge),
            )
            for i, edge in edges
        ]
        return SQL["image"].format(
            **self.of_node.parts,
            hits=self.of_node.hits,
            units=comma(of(f"~e{i}", ident("~unit")) for i, _ in edges),
            contradiction=some(self._contradictions()),
            values=sql.Composed(
                [template(", {}, {}").format(self.of_node.column(n), self.moved_value(n)) for n in self.node.kept]
            ),
            sources=sql.Composed([template(", {}").format(self.moved_source(n)) for n in self.node.changed]),
            parents=sql.SQL("\n").join(parents),
        )

    def _holders(self, number: int) -> list[tuple[str, Edge, Pair]]:
        """The references that hold this column, each with the alias of its parent's rows."""
        sole = len(self.node.incoming) == 1
        return [
            ("~p" if sole else f"~e{i}", edge, pair)
            for i, edge in enumerate(self.node.incoming)
            for pair in edge.pairs
            if pair.child == number and number in self.node.moved
        ]

    def moved_value(self, number: int) -> Fragment:
        """What a column will hold, beside the rows of its parents."""
        whens = [
            template("WHEN {} IS NOT NULL THEN {}").format(of(alias, ident("~tid")), cast(pair, of(alias, new(pair.parent))))
            for alias, _, pair in self._holders(number)
        ]
        if not whens:
            return self.of_node.column(number)
        return template("CASE {} ELSE {} END").format(sql.SQL(" ").join(whens), self.of_node.column(number))

    def moved_source(self, number: int) -> Fragment:
        """The merged row behind a column's change, if there is one."""
        whens = [
            template("WHEN {} IS NOT NULL THEN {}").format(of(alias, ident("~tid")), self._source_of(alias, pair, edge))
            for alias, edge, pair in self._holders(number)
        ]
        return template("CASE {} END").format(sql.SQL(" ").join(whens)) if whens else sql.SQL("NULL::bigint")

    def _source_of(self, alias: str, pair: Pair, edge: Edge) -> Fragment:
        """The merged row behind a changed value: the parent, or what the parent's own change came from."""
        parent = self.of_node.parents[edge.parent]
        passed_on = of(alias, source(pair.parent)) if pair.parent in parent.changed else sql.SQL("NULL")
        return template("CASE WHEN {} IS NOT NULL THEN {} ELSE {} END").format(
            of(alias, ident("~keeper")), of(alias, ident("~row")), passed_on
        )

    def _contradictions(self) -> list[Fragment]:
        """Two references share a column and would give it different values."""
        found: list[Fragment] = []
        for number in self.node.moved:
            holders = self._holders(number)
            for i, (a, _, pair_a) in enumerate(holders):
                for b, _, pair_b in holders[i + 1 :]:
                    found.append(
                        template("({} IS NOT NULL AND {} IS NOT NULL AND {})").format(
                            of(a, ident("~tid")),
                            of(b, ident("~tid")),
                            differ([self._held(a, pair_a)], [self._held(b, pair_b)]),
                        )
                    )
        return found

    def _held(self, alias: str, pair: Pair) -> Fragment:
        """What a reference would hold, in its column's type: the keys of two tables may be of two."""
        own = fragment(self.node.table.by_number[pair.child].base_type)
        return template("CAST({} AS {})").format(of(alias, new(pair.parent)), own)

    def projected(self, numbers: Sequence[int] | None = None) -> sql.Composed:
        """The rows that stay, as they will be, generated columns computed anew."""
        moved = self.node.moved if numbers is None else numbers
        plain = [c for c in self.node.table.columns if not c.generated]
        inner = SQL["projected"].format(
            **self.of_node.parts,
            columns=comma(
                template("{} AS {}").format(of("~r", new(c.number)), ident(c.name))
                if c.number in moved
                else self.of_node.column(c.number)
                for c in plain
            ),
        )
        generated = [c for c in self.node.table.columns if c.generated and c.default]
        extra = [template(", ({}) AS {}").format(fragment(c.default or ""), ident(c.name)) for c in generated]
        return SQL["generated"].format(projected=inner, generated=sql.Composed(extra))
