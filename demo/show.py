"""How the demo speaks: short paragraphs and tables, plain where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.box import ASCII, ROUNDED
from rich.console import Console
from rich.table import Table

from demo.looks import Case, Member
from sandbox.writer_report import CONSTRAINT, Waits

__all__ = ["Proof", "cases", "console", "group", "heading", "proofs", "say", "waits"]

WIDTH: Final = 100
HANGING: Final = ("tags", "notes", "conversations", "messages", "deals", "values")

console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Something that must be so; `wrong` says line by line where it is not."""

    words: str
    wrong: Sequence[str] = field(default=())


def heading(text: str) -> None:
    """A line that begins a part."""
    console.print(f"\n[bold]{text}[/bold]")


def say(text: str) -> None:
    """A line of explanation. What follows may come from another process, so it has to be out first."""
    console.print(text, markup=False)
    console.file.flush()


def group(members: list[Member]) -> None:
    """One group's rows and what hangs on each."""
    table = _table("contact", "name", "created", *HANGING)
    for member in members:
        table.add_row(member.id, member.name, member.created, *map(str, member.hanging))
    console.print(table)


def cases(before: list[Case], after: list[Case]) -> None:
    """The three acceptance cases, side by side."""
    table = _table("someone inserts", "before", "now")
    for old, new in zip(before, after, strict=True):
        table.add_row(new.words, _answer(old), _answer(new))
    console.print(table)


def waits(parts: dict[str, Waits]) -> None:
    """How long writers waited in each part."""
    table = _table("writers", "writes", "longest wait", "99 of 100 within")
    for name, part in parts.items():
        table.add_row(name, str(part.count), f"{part.longest * 1000:.0f} ms", f"{part.p99 * 1000:.0f} ms")
    console.print(table)


def proofs(found: list[Proof]) -> None:
    """Each proof, and the first lines that speak against it."""
    for proof in found:
        console.print("[red]  FAILED[/red]" if proof.wrong else "[green]  proved[/green]", proof.words)
        for line in proof.wrong[:10]:
            console.print(f"          {line}", markup=False)


def _answer(case: Case) -> str:
    if case.rejected_by is None:
        return "accepted"
    return "rejected" if case.rejected_by == CONSTRAINT else f"rejected by {case.rejected_by}"


def _table(*columns: str) -> Table:
    table = Table(box=ROUNDED if console.is_terminal else ASCII)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number > 2 else "left", no_wrap=True)
    return table
