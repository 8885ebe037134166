"""References without a foreign key: the forwarding triggers may be got round, so at the end somebody looks."""

from collections import Counter
from collections.abc import Callable

from ..query import scalar
from .batch import Batch
from .moves import sweep as swept
from .tree import Edge

# Each round leads one step further where a survivor was merged in its turn.
_ROUNDS = 10


Patiently = Callable[[Callable[[], int]], int]


def sweep(batch: Batch, patiently: Patiently) -> Counter[str]:
    """Move, and journal, what still refers to a merged row without a foreign key; gives rows by table."""
    moved: Counter[str] = Counter()
    for node in batch.nodes:
        for edge in (*node.incoming, *node.own):
            if edge.declared and batch.writes[_parent(batch, edge)].archive is not None:
                moved[node.table.label] += _sweep(batch, node.position, edge, patiently)
    return +moved


def _parent(batch: Batch, edge: Edge) -> int:
    return batch.resolver.tree.by_table[edge.parent].position


def _sweep(batch: Batch, position: int, edge: Edge, patiently: Patiently) -> int:
    writes = batch.writes[position]
    statement = swept(writes, edge, batch.writes[_parent(batch, edge)])
    journal = writes.journal.id if writes.journal else None

    def once() -> int:
        return int(scalar(batch.connection, statement, {"journal": journal}) or 0)

    total = 0
    for _ in range(_ROUNDS):
        moved = patiently(once)
        if not moved:
            break
        total += moved
    return total
