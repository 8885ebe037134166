"""A trial batch, undone again: triggers that forbid or swallow what a merge does show in no catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from .archive import Archive
from .errors import Reason
from .merge.batch import Batch, PlanChanged, Slice, Terms, Undecided
from .merge.counters import Interference
from .merge.passes import Found
from .merge.problems import rows
from .merge.resolve import Contended, Resolver, Tally
from .merge.root import RootStatements
from .merge.statements import SQL
from .merge.tree import Node
from .merge.worker import CAP
from .plan import Plan
from .query import scalars
from .references import listed
from .retry import may_pass, patiently

# Enough to meet a trigger, few enough that no writer notices.
_GROUPS = 10
_ATTEMPTS = 3
# The trial would fail for these too, and they are said already.
_FAILING = frozenset(
    {
        "bad_reference", "bad_sql", "check", "child_kind", "child_rights", "exclusion", "foreign_key",
        "generated_reference", "missing_partition", "no_replica_identity", "not_owner", "untaken", "private_schema",
        "rights", "row_security", "rule",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A trial of one plan; ``expected`` is the catalog's fingerprint that it was made for."""

    connection: Connection[Any]
    plan: Plan
    resolver: Resolver
    root: RootStatements
    expected: str
    notes: dict[str, str] = field(default_factory=dict)

    def reasons(self, found: Found, said: Sequence[Reason]) -> list[Reason]:
        """Merge a few groups and roll back; give what stood in the way, unless ``said`` explains it.

        Takes the locks of one batch, for as long. Only what happens every time is no writer's doing; where somebody
        has the rows every time nothing is learnt.
        """
        if not found.slices or any(reason.code in _FAILING for reason in said):
            return []
        reasons: list[Reason] = []
        for _ in patiently(_ATTEMPTS):
            try:
                reasons = self._try()
                if not reasons:
                    break
            except psycopg.Error as error:
                if not may_pass(error):
                    raise
                reasons = []
            except Contended:
                reasons = []
            except (Undecided, PlanChanged):
                break
        return reasons

    def _try(self) -> list[Reason]:
        """Raises what says nothing about triggers: Contended, Undecided, PlanChanged, an error of a lock."""
        found: list[Reason] = []
        with self.connection.transaction(force_rollback=True):
            batch = self._batch()
            try:
                batch.warm_up()
                batch.merge(self._piece())
                self._look_elsewhere()
            except Interference as interference:
                found.append(self._interfered(interference))
            except psycopg.Error as error:
                if may_pass(error) or error.sqlstate is None:
                    raise
                found.append(_failed(error, batch.at_work))
        return found

    def _look_elsewhere(self) -> None:
        """What triggers do to other tables is theirs: it is neither journaled nor undone, but said."""
        values = {"oids": list(self.resolver.parents), "private_schema": self.plan.settings.private_schema}
        for table in scalars(self.connection, SQL["elsewhere"].format(), values):
            self.notes[table] = f'triggers change rows of "{table}" as well; a downgrade leaves those as they are'

    def _batch(self) -> "_Watched":
        """Its archive goes with the transaction. Every collision counts as settled, to get as far as possible."""
        archive = Archive(self.connection, self.plan.settings.private_schema)
        archive.ensure()
        return _Watched(
            self.connection,
            self.resolver,
            self.root,
            archive,
            Terms(
                fill=self.plan.fill,
                decided=frozenset(self.resolver.parents),
                run=archive.begin_run(self.root.table, self.plan.settings),
                fingerprint=self.expected,
            ),
        )

    def _piece(self) -> Slice:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(SQL["batch_end"].format(), {"after": 0, "groups": _GROUPS, "cap": CAP}).fetchone()
        assert row is not None
        return Slice(after=0, end=row["end"], groups=row["groups"], cap=CAP)

    def _interfered(self, failure: Interference) -> Reason:
        nodes = self.resolver.tree.nodes
        there = [node for node in nodes if node.table.label == failure.table]
        return _reason(
            f'changed or removed {rows(failure.found)} of "{failure.table}" instead of {failure.expected}',
            _blamed(there) or _blamed(nodes),
        )


class _Watched(Batch):
    """A batch that knows which tables it is writing to."""

    @cached_property
    def at_work(self) -> Sequence[Node]:
        """The root to begin with: its duplicates are taken first."""
        return [self.nodes[0]]

    @property
    def _stays(self) -> None:
        """Nothing was merged by a run that has just begun, and an older archive may have no index to tell that by."""

    def warm_up(self) -> None:
        """A batch of nothing: statements are composed and the catalog is read before any row is locked."""
        self.merge(Slice(after=0, end=0, groups=0, cap=CAP))
        _ = self._removals, self._plain_moves

    def _write(self, tallies: Sequence[Tally]) -> Mapping[str, int]:
        self._tallies = tallies
        return super()._write(tallies)

    def _move(self, positions: Sequence[int], plain: Sequence[int], op: int) -> dict[str, int]:
        self.at_work = [self.nodes[position] for position in (*positions, *plain)]
        moved = super()._move(positions, plain, op)
        for tally in (self._tallies[position] for position in positions):
            label = tally.node.table.label
            if moved[label] != tally.moved:
                raise Interference(label, tally.moved, moved[label])
        return moved

    def _move_plain(self, position: int, op: int) -> int:
        node, counts = self.nodes[position], self._row(self._plain_moves[position], {"move": op})
        if counts["found"] != counts["moved"]:
            raise Interference(node.table.label, counts["found"], counts["moved"])
        return int(counts["moved"])

    def _remove(self, tally: Tally, op: int) -> None:
        self.at_work = [tally.node]
        super()._remove(tally, op)
        self.at_work = [self.nodes[0]]  # what comes last is the fill


def _failed(error: psycopg.Error, nodes: Sequence[Node]) -> Reason:
    """The server refused a statement. Its text may hold values; the names and the code may not."""
    tables = listed(dict.fromkeys(node.table.label for node in nodes), "or")
    if error.diag.constraint_name:
        return Reason(
            problem=f'a trial batch, rolled back, failed at {tables} on "{error.diag.constraint_name}" '
            f"(SQLSTATE {error.sqlstate})",
            way_on="change the rows that it objects to by hand first, or drop it",
            code="rehearsal",
        )
    return _reason(f"failed at {tables} (SQLSTATE {error.sqlstate})", _blamed(nodes))


def _reason(what: str, triggers: Sequence[str]) -> Reason:
    named = listed(triggers, "or")
    return Reason(
        problem=f"a trial batch, rolled back, {what}" + (f"; the trigger {named} may be why" if triggers else ""),
        way_on=f"let {named} pass what a merge does, or disable it for the merge"
        if triggers
        else "look up the cause in the server's log and remove it",
        code="rehearsal",
    )


def _blamed(nodes: Sequence[Node]) -> list[str]:
    """Triggers that fire on what a merge does to these tables."""
    return [
        trigger.name
        for node in nodes
        for trigger in node.table.triggers
        if trigger.enabled in "OA" and ((trigger.on_delete and node.merges) or (trigger.on_update and node.changed))
    ]
