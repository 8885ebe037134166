"""What a restore brought back, and what it had to leave."""

from collections import Counter
from dataclasses import dataclass, field

from .sources import Source


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation of a batch: rows archived, or changes journaled in one or several tables."""

    id: int
    kind: str
    sources: tuple[Source, ...]


@dataclass(kw_only=True)
class Outcome:
    """Rows ``inserted`` again, changes ``undone`` by table, and a line for each row that is ``kept`` as it is."""

    inserted: int = 0
    undone: Counter[str] = field(default_factory=Counter)
    kept: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take in what another one tells."""
        self.inserted += other.inserted
        self.undone.update(other.undone)
        # A row that two operations changed waits twice.
        self.kept = list(dict.fromkeys([*self.kept, *other.kept]))
