"""The merge as statements: one batch that holds everything, under locks that keep every writer out."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from psycopg import Connection, sql

from ..archive import Relation
from ..catalog.facts import Need
from ..compose import TRUE, Fragment, comma, ident, literal, template
from ..doubts import untaken
from ..errors import Reason
from ..merge.counters import counters
from ..merge.moves import move_plain, move_together
from ..merge.problems import PROBLEMS, worded
from ..merge.removals import fill_survivors, index_keepers, remove
from ..merge.resolve import Resolver
from ..merge.root import RootStatements
from ..merge.script import Script
from ..merge.statements import SQL as MERGE
from ..merge.tree import Edge, Node
from ..merge.writes import WriteStatements, writes_of
from ..plan import Plan
from .archive import PlannedArchive
from .text import SQL, Text, embedded

_EVERYTHING: Final = {"after": 0, "end": 2**62, "cap": 2**62}
_MERGED: Final = sql.SQL('"~keeper" IS NOT NULL')
_MOVED: Final = sql.SQL('"~keeper" IS NULL')


class Merging:
    """Writes the merge of one plan into a script whose tables are locked."""

    def __init__(self, connection: Connection[Any], plan: Plan, archive: PlannedArchive, text: Text) -> None:
        assert plan.tree is not None
        self.plan, self.archive, self.text = plan, archive, text
        self.nodes = plan.tree.nodes
        self.resolver = Resolver(connection, plan.tree)
        self.root = RootStatements(node=plan.tree.root, key=plan.key, survivor_order=plan.survivor_order)
        self.scripts = [Script(statements, False, connection) for statements in self.resolver.statements]

    def write(self) -> None:
        self._create()
        self._find()
        for script in self.scripts:
            self._work_out(script)
        for edge in self.resolver.tree.cycles:
            self._refuse("cyclic", self.resolver.tree.by_table[edge.parent], self._circle(edge))
        self.text.say("What is done is noted, so that it can be taken back.")
        self.writes = writes_of(self.resolver, self.archive, self.plan.fill)
        self._begin()
        self._move()
        for writes in self._removing():
            self._remove(writes)
        if self.plan.fill:
            self.text.run(index_keepers(self.writes[0]))
            fill = fill_survivors(self.writes[0], self.plan.fill)
            filled = embedded(fill, op=self.archive.noted("archive 0"), fill=self.archive.noted("fill"))
            self.text.block(SQL["do"], statement=filled)
        self._prove()
        self.text.run(SQL["summary"].format(rows=self.scripts[0].statements.rows))
        self._drop()
        for name in ("~script", "~before"):
            self.text.run(SQL["drop_temporary"].format(table=ident("pg_temp", name)))

    def _create(self) -> None:
        self.text.say("What is worked out is kept in temporary tables.")
        self._drop()
        for statement in (*self.root.create(), *(c for s in self.resolver.statements for c in s.create())):
            self.text.run(statement)
        self.text.run(SQL["before"].format(counters=self._counters))

    def _drop(self) -> None:
        for statements in self.resolver.statements:
            for table in (statements.rows, statements.hits):
                self.text.run(SQL["drop_temporary"].format(table=table))
        self.text.run(SQL["drop_temporary"].format(table=ident("pg_temp", "~work")))
        self.text.run(SQL["drop_sequence"].format())

    @cached_property
    def _counters(self) -> sql.Composed:
        return counters(node.table.oid for node in self.nodes)

    def _find(self) -> None:
        self.text.say("Find the duplicates, and the one that stays in each group.")
        self.text.run(self.root.find_groups(), **_EVERYTHING)
        self.text.run(MERGE["analyze_work"].format())
        self.text.run(self.root.take_all_duplicates(), **_EVERYTHING)
        self._analyze(self.nodes[0])

    def _analyze(self, node: Node) -> None:
        self.text.run(MERGE["analyze"].format(rows=self.scripts[node.position].statements.rows))

    def _work_out(self, script: Script) -> None:
        if not script.node.plain:
            self._work_out_rows(script)
        for rule in script.node.doubtful:
            # Whoever runs it may not see every parent, and new orphans come under keys that are NOT VALID alone.
            if not (isinstance(rule, Need) and rule.certain):
                found = script.statements.broken(rule, fills=bool(self.plan.fill))
                self.text.refuse(found, untaken(script.node, rule, "{rows}"))

    def _work_out_rows(self, script: Script) -> None:
        node = script.node
        if not node.is_root:
            self.text.say(f"Work out what becomes of the rows of {node.table.label}, and stop if it is not to be.")
        for statement in script.image:
            self.text.run(statement)
        if node.uniques:
            self._collide(script)
        for statement in script.own if node.own else ():
            self.text.run(statement)
        if not node.is_root:
            self._analyze(node)
        self._refuse_tallied(script)

    def _refuse_tallied(self, script: Script) -> None:
        node = script.node
        if node.own and script.own_collisions:
            self._refuse("own_collisions", node, script.own_collisions)
        counts = {"unkeyed": "unkeyed"}
        if script.torn:
            self._refuse("contradictions", node, script.torn)
        else:
            counts |= {"contradictions": "contradictions"}
        for count, column in (counts if node.table.primary_key else counts | {"keyless": "merged"}).items():
            tally = template("SELECT {} FROM ({}) AS {}").format(ident(column), embedded(script.tally), ident("~tally"))
            self._refuse(count, node, tally)

    def _collide(self, script: Script) -> None:
        node = script.node
        for statement in script.collide:
            self.text.run(statement)
        if node.table.oid not in self.plan.decided:
            self._refuse("different", node, script.different)
        for count, statements in (("blocked", script.blocked), ("stranded", script.stranded)):
            for statement in statements:
                self._refuse(count, node, statement)
        self.text.run(script.take_keepers)

    def _circle(self, edge: Edge) -> Fragment:
        return self.resolver.statements[self.resolver.parents[edge.child].position].count_referring(edge)

    def _refuse(self, count: str, node: Node, found: Fragment | bytes) -> None:
        kind = next(kind for kind in PROBLEMS if kind.count == count)
        self.text.refuse(embedded(found), worded(kind, node.table, "{rows}"))

    # What is done

    def _begin(self) -> None:
        work = template("SELECT FROM {}").format(self.scripts[0].statements.rows)
        self.archive.note("merge", self.nodes[0].table, self.plan.settings, work)
        moving = list(self._moving())
        if moving:
            moves = SQL["moves"].format(moves=comma(moving))
            relations = SQL["moved_relations"].format(schema=ident(self.archive.schema), moves=moves)
            self.archive.note_op("merge", "move", "move", relations, moves)
        for writes in self._removing():
            what, listed = f"archive {writes.node.position}", self.archive.listed(writes.archive)
            self.archive.note_op("merge", what, "archive", listed, self._some(writes.node, _MERGED))
        if self.plan.fill:
            self.archive.note_op("merge", "fill", "fill", self.archive.listed(self.writes[0].journal), work)

    def _removing(self) -> Iterator[WriteStatements]:
        """From the leaves up."""
        return (writes for writes in reversed(self.writes) if writes.archive is not None)

    def _moving(self) -> Iterator[Fragment]:
        """Each journal that moved references go to, and whether any will."""
        for writes in (w for w in self.writes if w.node.changed):
            there = TRUE if writes.node.plain else template("EXISTS ({})").format(self._some(writes.node, _MOVED))
            assert writes.journal is not None
            place = sql.Literal(writes.node.position + len(self.nodes) * writes.node.plain)
            yield template("({}, {}, {})").format(place, literal(writes.journal.name), there)

    def _move(self) -> None:
        self.text.say("Lead every reference to the row that stays.")
        together = [w for w in self.writes if w.node.changed and not w.node.plain]
        if together:
            self.text.run(move_together(self.writes, [w.node.position for w in together]), move=self.archive.noted("move"))
        for writes in together:
            self._refuse_miscounted(writes, writes.journal, "move", _MOVED)
        for writes in (w for w in self.writes if w.node.plain):
            self.text.run(move_plain(writes), move=self.archive.noted("move"))

    def _remove(self, writes: WriteStatements) -> None:
        what = f"archive {writes.node.position}"
        self.text.say(f"Remove the duplicates of {writes.node.table.label} into the archive, once nothing refers to them.")
        self.text.run(remove(writes), op=self.archive.noted(what))
        self._refuse_miscounted(writes, writes.archive, what, _MERGED)

    def _refuse_miscounted(self, writes: WriteStatements, kept: Relation | None, what: str, which: Fragment) -> None:
        assert kept is not None
        miscounted = SQL["miscounted"].format(
            relation=ident(self.archive.schema, kept.name),
            op=self.archive.noted(what),
            rows=writes.of_node.rows,
            which=which,
        )
        self.text.refuse(miscounted, _interfered(writes.node.table.label))

    def _prove(self) -> None:
        """As the server has counted it, nothing else was removed."""
        merged = [
            template("({}::bigint, (SELECT count(*) FROM {} WHERE {}))").format(
                sql.Literal(node.table.oid), self.scripts[node.position].statements.rows, _MERGED
            )
            for node in self.nodes
        ]
        values = template("VALUES {}").format(comma(merged))
        self.text.refuse(SQL["interfered"].format(counters=self._counters, merged=values), _REMOVED)

    def _some(self, node: Node, which: Fragment) -> Fragment:
        return template("SELECT FROM {} WHERE {}").format(self.scripts[node.position].statements.rows, which)


def _interfered(label: str) -> Reason:
    return Reason(
        problem=f'a trigger or a rule kept rows of "{label}" as they were, or something still refers to them',
        way_on="let it pass what a merge does, or disable it for the merge",
        code="interfered",
    )


_REMOVED = Reason(
    problem="a trigger, a rule or a cascade removed {rows} that were not to go",
    way_on="find it among the triggers of these tables, and let it rest for the merge",
    code="interfered",
)
