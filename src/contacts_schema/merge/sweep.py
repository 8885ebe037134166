"""References without a foreign key: the forwarding triggers may be got round, so at the end somebody looks."""

from collections import Counter

from psycopg import Rollback
from psycopg.rows import scalar_row

from .batch import Batch
from .moves import sweep as swept
from .tree import Edge

# Each round leads one step further where a survivor was merged in its turn.
_ROUNDS = 10


def sweep(batch: Batch) -> Counter[str]:
    """Move, and journal, what still refers to a merged row without a foreign key; gives rows by table."""
    moved: Counter[str] = Counter()
    for node in batch.nodes:
        for edge in (*node.incoming, *node.own):
            if edge.declared and batch.writes[_parent(batch, edge)].archive is not None:
                moved[node.table.label] += _sweep(batch, node.position, edge)
    return +moved


def _parent(batch: Batch, edge: Edge) -> int:
    return next(node.position for node in batch.nodes if node.table.oid == edge.parent)


def _sweep(batch: Batch, position: int, edge: Edge) -> int:
    statement = swept(batch.writes[position], edge, batch.writes[_parent(batch, edge)])
    total = 0
    for _ in range(_ROUNDS):
        moved = 0
        with batch.connection.transaction():
            op = batch.begin_move(position)
            with batch.connection.cursor(row_factory=scalar_row) as cursor:
                moved = int(cursor.execute(statement, {"move": op}).fetchone() or 0)
            if not moved:
                raise Rollback
        if not moved:
            break
        total += moved
    return total
