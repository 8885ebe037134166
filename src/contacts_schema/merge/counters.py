"""What the server counted against what a batch did: a cascade, a rule or a trigger's own writes show there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from ..compose import oids
from .resolve import Tally
from .statements import SQL

_DONE = ("inserted", "updated", "deleted")

Counts = Mapping[int, Mapping[str, int]]
"""Rows inserted, updated and deleted in the transaction so far, by the table's oid."""


class Interference(Exception):
    """Something else than the merge removed or kept rows in its transaction: a trigger, a rule, a cascade."""

    def __init__(self, table: str, expected: int, found: int) -> None:
        super().__init__(table)
        self.table, self.expected, self.found = table, expected, found


def counters(tables: Iterable[int]) -> sql.Composed:
    """What the server has counted in this transaction so far."""
    return SQL["counters"].format(oids=oids(tables))


class Counters:
    """The server's counters of one transaction, for the tables of a merge."""

    def __init__(self, connection: Connection[Any], tables: Iterable[int]) -> None:
        self.connection = connection
        self._statement = counters(tables).as_bytes(connection)

    def read(self) -> Counts:
        """How far they are."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(self._statement, {}).fetchall()
        return {row["table"]: row for row in rows}

    def beyond(self, before: Counts, tallies: Sequence[Tally], moved: Mapping[str, int]) -> Mapping[str, int]:
        """Rows by table that something else wrote since. Raises Interference where rows went that were not to go, or
        stayed that were to move.
        """
        after = self.read()
        found: dict[str, int] = {}
        for tally in tallies:
            table, ours = tally.node.table, moved.get(tally.node.table.label, 0)
            done = {name: after[table.oid][name] - before[table.oid][name] for name in _DONE}
            if table.kind == "p":
                done = _within_partitions(done, tally.merged)
            if done["deleted"] > tally.merged:
                raise Interference(table.label, tally.merged, done["deleted"])
            if 0 < done["updated"] < ours:
                raise Interference(table.label, ours, done["updated"])
            found[table.label] = done["inserted"] + max(0, done["updated"] - ours)
        return +Counter(found)


def _within_partitions(done: Mapping[str, int], merged: int) -> dict[str, int]:
    """A row that changes its partition counts as deleted here and inserted there."""
    across = min(done["inserted"], done["deleted"] - min(merged, done["deleted"]))
    return {
        "inserted": done["inserted"] - across,
        "updated": done["updated"] + across,
        "deleted": done["deleted"] - across,
    }
