"""Shows how a run goes: a bar on a terminal, plain log lines elsewhere, and a summary at the end."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from contacts_schema.report import Report

# Below "alembic": the lines go where a project has sent Alembic's own, and its fileConfig() keeps them alive.
logger = logging.getLogger("alembic.contacts_schema")

_EVERY: Final = 2.0


@dataclass(kw_only=True)
class _Step:
    """A step that is going on: its name, when it began by the clock, and the work done and to do."""

    name: str
    began: float
    unit: str = "group"
    groups: int = 0
    rows: int = 0
    total: int | None = None

    def line(self, now: float, *, done: bool) -> str:
        """Return what is to be said of the step."""
        of = "" if done or self.total is None else f" of {self.total:,}"
        groups = f"{self.groups:,}{of} {_plural(self.unit, self.total or self.groups)}"
        counts = f"{groups}, {self.rows:,} {_plural('row', self.rows)}, "
        worked = self.total is not None or self.groups
        return f"{self.name}: {'done, ' if done else ''}{counts if worked else ''}{now - self.began:.1f} s"


class _Steps:
    """What both ways of showing have in common: one step at a time, and an end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._step: _Step | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A step that failed is not done: its error is said by whoever catches it.
        if kind is None:
            self._end()
        self._step = None

    def note(self, message: str) -> None:
        """Say one line, or several."""
        raise NotImplementedError

    def _begin(self, name: str, unit: str = "group") -> _Step:
        self._end()
        self._step = _Step(name=name, began=self._clock(), unit=unit)
        return self._step

    def _end(self) -> None:
        if self._step is not None:
            self.note(self._step.line(self._clock(), done=True))

    def _current(self) -> _Step:
        return self._step or self._begin("work")


class LogProgress(_Steps):
    """Lines with counts and seconds, by default to the logger `alembic.contacts_schema` at INFO.

    Of the advances at most one line in two seconds is written.
    """

    def __init__(self, write: Callable[[str], None] = logger.info, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._write = write
        self._said = clock()

    def step(self, name: str, unit: str = "group") -> None:
        """Say that a step begins, and that the one before is done."""
        self._said = self._begin(name, unit).began
        self._write(f"{name}: begins")

    def total(self, groups: int) -> None:
        """Say how much there is to do."""
        step = self._current()
        step.total = step.groups + groups
        self._write(f"{step.name}: {groups:,} {_plural(step.unit, groups)} to do")

    def advance(self, groups: int, rows: int) -> None:
        """Count, and say so now and then."""
        step = self._current()
        step.groups, step.rows = step.groups + groups, step.rows + rows
        now = self._clock()
        if now - self._said >= _EVERY:
            self._said = now
            self._write(step.line(now, done=False))

    def note(self, message: str) -> None:
        """Log each line of the message."""
        for line in message.splitlines():
            self._write(line)


class RichProgress(_Steps):
    """A bar for the step that is going on, and a line for each one done."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}, {task.fields[rows]} rows"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
        super().__exit__(kind, error, trace)

    def step(self, name: str, unit: str = "group") -> None:
        """Begin a new bar, which moves to and fro until there is a total."""
        self._begin(name, unit)
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=None, rows="0", unit=_plural(unit, 2))

    def total(self, groups: int) -> None:
        """Give the bar its length."""
        step = self._current()
        step.total = step.groups + groups
        self._update()

    def advance(self, groups: int, rows: int) -> None:
        """Move the bar on."""
        step = self._current()
        step.groups, step.rows = step.groups + groups, step.rows + rows
        self._update()

    def note(self, message: str) -> None:
        """Print above the bar."""
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _update(self) -> None:
        step = self._current()
        if self._task is None:
            self._task = self._bar.add_task(step.name, total=None, rows="0", unit=_plural(step.unit, 2))
        self._bar.update(self._task, completed=step.groups, total=step.total, rows=f"{step.rows:,}")


def progress_for(stream: TextIO) -> LogProgress | RichProgress:
    """Return what suits `stream`: a bar where it is a terminal that can show one, log lines otherwise."""
    console = Console(file=stream)
    return RichProgress(console) if stream.isatty() and not console.is_dumb_terminal else LogProgress()


def summary(report: Report, title: str) -> str:
    """Return what a run did: a line of counts, changed rows by table, notes, and what a restore left as it is."""
    lines = [f"{title}: {_counts(report)}, {report.seconds:.1f} s"]
    changed = ", ".join(f"{table} {count:,}" for table, count in sorted(report.references_moved.items()) if count)
    if changed:
        lines.append(f"  rows changed: {changed}")
    lines += [f"  note: {note}" for note in report.notes]
    if report.kept:
        lines.append(f"  left as they are: {len(report.kept):,}")
        lines += [f"    {line}" for line in report.kept]
    return "\n".join(lines)


def _counts(report: Report) -> str:
    counts = (
        (report.groups, "group", ""),
        (report.rows_merged, "row", " merged"),
        (report.rows_archived, "row", " archived"),
        (report.rows_restored, "row", " restored"),
    )
    said = [f"{count:,} {_plural(noun, count)}{verb}" for count, noun, verb in counts if count]
    return ", ".join(said) or ("rows changed" if any(report.references_moved.values()) else "no rows changed")


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"
