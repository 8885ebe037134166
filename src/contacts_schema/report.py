"""What a run says while it goes on, and what it says at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run did.

    `references_moved` counts the rows that were changed and stayed, by table: those whose references moved, and those
    that `fill` or emptied phones changed. `kept` holds a line for each thing that a restore left as it is, because
    people changed it since or because it cannot come back, by table and primary key. `seconds` is wall time.
    """

    groups: int = 0
    rows_merged: int = 0
    references_moved: Mapping[str, int] = field(default_factory=dict)
    rows_archived: int = 0
    rows_restored: int = 0
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


class Progress(Protocol):
    """Who listens to a run."""

    def step(self, name: str, unit: str = "group") -> None:
        """Begin a named step; the one before it is at its end. Its work is counted in ``unit``."""

    def total(self, groups: int) -> None:
        """Tell how many groups the current step has still to work off."""

    def advance(self, groups: int, rows: int) -> None:
        """Tell how many more groups and rows are done."""

    def note(self, message: str) -> None:
        """Say something at once: a wait for a lock, a retry, a warning."""


class Silent:
    """A Progress that says nothing, for use as a library."""

    def step(self, name: str, unit: str = "group") -> None:
        """Ignore it."""

    def total(self, groups: int) -> None:
        """Ignore it."""

    def advance(self, groups: int, rows: int) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""


class Shared:
    """A Progress for several threads at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock = progress, Lock()

    def step(self, name: str, unit: str = "group") -> None:
        """Pass it on."""
        with self._lock:
            self._progress.step(name, unit)

    def total(self, groups: int) -> None:
        """Pass it on."""
        with self._lock:
            self._progress.total(groups)

    def advance(self, groups: int, rows: int) -> None:
        """Pass it on."""
        with self._lock:
            self._progress.advance(groups, rows)

    def note(self, message: str) -> None:
        """Pass it on."""
        with self._lock:
            self._progress.note(message)
