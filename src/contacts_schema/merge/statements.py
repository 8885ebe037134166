"""The statements that work out one table's share of a batch. Composes text; runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ..catalog.facts import Index
from ..compose import NOTHING, TRUE, Fragment, comma, differ, every, fragment, ident, some, template
from ..sql import load
from .tree import Edge, Node, Pair

SQL = load("merge")


def rows_of(node: Node) -> sql.Identifier:
    """The temporary table that holds the changed rows of one table of the merge."""
    return ident("pg_temp", f"~rows{node.position}")


def old(number: int) -> sql.Identifier:
    """The column for what a row held."""
    return ident(f"~o{number}")


def new(number: int) -> sql.Identifier:
    """The column for what a row will hold."""
    return ident(f"~n{number}")


def source(number: int) -> sql.Identifier:
    """The column that tells which merged row a reference was moved away from."""
    return ident(f"~p{number}")


def of(alias: str, column: sql.Identifier) -> sql.Composed:
    """A column of an alias."""
    return template("{}.{}").format(ident(alias), column)


@dataclass(frozen=True, kw_only=True)
class NodeStatements:
    """Everything about one node, as statements. ``parents`` are the nodes of the tree by their table."""

    node: Node
    parents: dict[int, Node]

    @cached_property
    def table(self) -> sql.Identifier:
        return ident(self.node.table.schema, self.node.table.name)

    @cached_property
    def name(self) -> sql.Identifier:
        """The table's bare name, its alias everywhere: conditions may qualify columns with it."""
        return ident(self.node.table.name)

    @cached_property
    def rows(self) -> sql.Identifier:
        return rows_of(self.node)

    @cached_property
    def hits(self) -> sql.Identifier:
        return ident("pg_temp", f"~hits{self.node.position}")

    def column(self, number: int) -> sql.Composed:
        return template("{}.{}").format(self.name, self.bare(number))

    def bare(self, number: int) -> sql.Identifier:
        return ident(self.node.table.by_number[number].name)

    def create(self) -> list[sql.Composed]:
        values = [
            template(", {} AS {}, {} AS {}").format(self.bare(n), old(n), self.bare(n), new(n)) for n in self.node.kept
        ]
        sources = [template(", NULL::bigint AS {}").format(source(n)) for n in self.node.changed]
        return [
            SQL["create_rows"].format(
                rows=self.rows, table=self.table, values=sql.Composed(values), sources=sql.Composed(sources)
            ),
            SQL["create_hits"].format(hits=self.hits),
        ]

    # Which rows are meant

    def joined(self, edge: Edge, parent: str = "~p", child: sql.Identifier | None = None) -> Fragment:
        """parent = child over the columns of a reference, with the operators of the foreign key."""
        return every(
            template("{} {} {}").format(
                self.cast(pair, of(parent, old(pair.parent))),
                fragment(pair.equality),
                template("{}.{}").format(child or self.name, self.bare(pair.child)),
            )
            for pair in edge.pairs
        )

    @staticmethod
    def cast(pair: Pair, value: Fragment) -> Fragment:
        return template("CAST({} AS {})").format(value, fragment(pair.cast)) if pair.cast else value

    @staticmethod
    def altered(edge: Edge, alias: str = "~p") -> Fragment:
        """The parent's row has, or will have, other values in the columns that this reference holds."""
        parents = [pair.parent for pair in edge.pairs]
        return differ((of(alias, old(n)) for n in parents), (of(alias, new(n)) for n in parents))

    @staticmethod
    def condition(edge: Edge) -> Fragment:
        return template("({})").format(fragment(edge.condition)) if edge.condition else TRUE

    def hit(self, edge: Edge, *, lock: bool) -> sql.Composed:
        return self._hit("hit", edge, self._strength if lock else None)

    def hit_image(self, edge: Edge, *, lock: bool) -> sql.Composed:
        """For a node with one incoming reference: hits and images in one statement."""
        values = [(self.column(n), old(n)) for n in self.node.kept]
        images = [(self.moved_value(n), new(n)) for n in self.node.kept]
        pairs = [pair for both in zip(values, images, strict=True) for pair in both]
        pairs += [(self.moved_source(n), source(n)) for n in self.node.changed]
        return self._hit(
            "hit_image",
            edge,
            self._strength if lock else None,
            rows=self.rows,
            values=sql.Composed([template(", {} AS {}").format(value, name) for value, name in pairs]),
            value_names=sql.Composed([template(", {}").format(name) for _, name in pairs]),
        )

    @property
    def _strength(self) -> str:
        return "FOR UPDATE" if self.node.merges or self.node.key_changes else "FOR NO KEY UPDATE"

    def hit_own(self, edge: Edge, *, lock: bool) -> sql.Composed:
        strength = "FOR UPDATE" if self.node.key_changes else "FOR NO KEY UPDATE"
        return self._hit("hit_own", edge, strength if lock else None)

    def _hit(self, statement: str, edge: Edge, strength: str | None, **parts: Fragment) -> sql.Composed:
        lock = template(f"{strength} OF {{}} NOWAIT").format(self.name) if strength else NOTHING
        return SQL[statement].format(
            name=self.name,
            table=self.table,
            parent=rows_of(self.parents[edge.parent]),
            hits=self.hits,
            joined=self.joined(edge),
            changed=self.altered(edge),
            condition=self.condition(edge),
            lock=lock,
            **parts,
        )

    # What they will hold

    def image(self) -> sql.Composed:
        edges = list(enumerate(self.node.incoming))
        parents = [
            template("LEFT JOIN {} AS {} ON {} AND {} AND {}").format(
                rows_of(self.parents[edge.parent]),
                ident(f"~e{i}"),
                self.joined(edge, f"~e{i}"),
                self.altered(edge, f"~e{i}"),
                self.condition(edge),
            )
            for i, edge in edges
        ]
        return SQL["image"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
            hits=self.hits,
            units=comma(of(f"~e{i}", ident("~unit")) for i, _ in edges),
            contradiction=some(self._contradictions()),
            values=sql.Composed([template(", {}, {}").format(self.column(n), self.moved_value(n)) for n in self.node.kept]),
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
            template("WHEN {} IS NOT NULL THEN {}").format(
                of(alias, ident("~tid")), self.cast(pair, of(alias, new(pair.parent)))
            )
            for alias, _, pair in self._holders(number)
        ]
        if not whens:
            return self.column(number)
        return template("CASE {} ELSE {} END").format(sql.SQL(" ").join(whens), self.column(number))

    def moved_source(self, number: int) -> Fragment:
        """The merged row behind a column's change, if there is one."""
        whens = [
            template("WHEN {} IS NOT NULL THEN {}").format(of(alias, ident("~tid")), self._source_of(alias, pair, edge))
            for alias, edge, pair in self._holders(number)
        ]
        return template("CASE {} END").format(sql.SQL(" ").join(whens)) if whens else sql.SQL("NULL::bigint")

    def _source_of(self, alias: str, pair: Pair, edge: Edge) -> Fragment:
        """The merged row behind a changed value: the parent, or what the parent's own change came from."""
        parent = self.parents[edge.parent]
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
                            differ(
                                [self.cast(pair_a, of(a, new(pair_a.parent)))],
                                [self.cast(pair_b, of(b, new(pair_b.parent)))],
                            ),
                        )
                    )
        return found

    def projected(self, numbers: Sequence[int] | None = None) -> sql.Composed:
        """The rows that stay, as they will be, generated columns computed anew."""
        moved = self.node.moved if numbers is None else numbers
        plain = [c for c in self.node.table.columns if not c.generated]
        inner = SQL["projected"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
            columns=comma(
                template("{} AS {}").format(of("~r", new(c.number)), ident(c.name))
                if c.number in moved
                else self.column(c.number)
                for c in plain
            ),
        )
        generated = [c for c in self.node.table.columns if c.generated and c.default]
        extra = [template(", ({}) AS {}").format(fragment(c.default or ""), ident(c.name)) for c in generated]
        return SQL["generated"].format(projected=inner, generated=sql.Composed(extra))

    # Which of them are then the same

    def collide(self, index: Index) -> sql.Composed:
        keys = [ident(f"~k{i}") for i in range(len(index.keys))]
        order = [old(n) for n in self.node.table.primary_key]
        order_values = [template(", {}").format(self.column(n)) for n in self.node.table.primary_key]
        image = self.projected()
        if order:
            image = self._with_primary_key(image)
        return SQL["collide"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
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
            rows=self.rows,
            table=self.table,
            name=self.name,
            image=self.projected(),
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
        ).format(kept, image, self.rows)

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
        return SQL["follow_keepers"].format(rows=self.rows)

    def lock_keepers(self, *, lock: bool) -> sql.Composed:
        strength = template("FOR NO KEY UPDATE OF {} NOWAIT").format(self.name) if lock else NOTHING
        return SQL["lock_keepers"].format(rows=self.rows, table=self.table, name=self.name, lock=strength)

    def take_keepers(self) -> sql.Composed:
        values = [
            template('{} = CASE WHEN "~k"."~tid" IS NULL THEN {} ELSE {} END').format(
                new(n), self.column(n), of("~k", new(n))
            )
            for n in self.node.kept
        ]
        return SQL["take_keepers"].format(rows=self.rows, table=self.table, name=self.name, values=comma(values))

    def different(self) -> sql.Composed:
        """To run before :meth:`take_keepers`, while every row still holds its own image."""
        numbers = self.node.content
        moved = self.node.moved
        kept = [
            template('CASE WHEN "~k"."~tid" IS NULL THEN {} ELSE {} END').format(of("~b", self.bare(n)), of("~k", new(n)))
            for n in moved
        ]
        return SQL["different"].format(
            rows=self.rows,
            table=self.table,
            differ=differ(
                [*(of("~a", self.bare(n)) for n in numbers), *(of("~r", new(n)) for n in moved)],
                [*(of("~b", self.bare(n)) for n in numbers), *kept],
            ),
        )

    # References to the same table

    def image_own(self) -> sql.Composed:
        return SQL["image_own"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
            hits=self.hits,
            values=sql.Composed([template(", {}, {}").format(self.column(n), self.column(n)) for n in self.node.kept]),
            sources=sql.Composed([sql.SQL(", NULL::bigint") for _ in self.node.changed]),
        )

    def point_own(self, edge: Edge) -> sql.Composed:
        values: list[Fragment] = []
        for pair in edge.pairs:
            if pair.child in self.node.own_moved:
                values.append(template("{} = {}").format(new(pair.child), self.cast(pair, of("~p", new(pair.parent)))))
                values.append(template('{} = "~p"."~row"').format(source(pair.child)))
        return SQL["point_own"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
            values=comma(values),
            joined=self.joined(edge),
            changed=self.altered(edge),
            condition=self.condition(edge),
        )

    def source_own(self, edge: Edge) -> sql.Composed:
        """For :meth:`point_own`'s other half: duplicates among themselves."""
        moved = [pair.child for pair in edge.pairs if pair.child in self.node.own_moved]
        return SQL["source_own"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
            values=comma(template('{} = "~p"."~row"').format(source(n)) for n in moved),
            joined=self.joined(edge),
            condition=self.condition(edge),
        )

    def empty_hits(self) -> sql.Composed:
        return SQL["empty_hits"].format(hits=self.hits)

    def stranded(self, edge: Edge) -> sql.Composed:
        """Merged rows that hold the key of a parent which is moved, not merged."""
        return SQL["stranded"].format(
            rows=self.rows,
            table=self.table,
            name=self.name,
            parent=rows_of(self.parents[edge.parent]),
            joined=self.joined(edge),
            changed=self.altered(edge),
        )

    def tally(self) -> sql.Composed:
        unkeyed = [
            template("({} IS NULL AND {} IS NOT NULL)").format(of("~r", new(n)), of("~r", old(n))) for n in self.node.changed
        ]
        return SQL["tally"].format(rows=template('{} AS "~r"').format(self.rows), unkeyed=some(unkeyed))
