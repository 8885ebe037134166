"""Shows people what was found. Knows rich; knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from contacts_schema.archived.where import Whereabouts
from contacts_schema.preview.figures import Preview, masked
from contacts_schema.verification.cases import Check

__all__ = ["checks", "plan", "whereabouts"]

_STATES: Final = {
    "constrained": "nothing to do: the constraint is there",
    "unique": "no duplicates; an upgrade adds the constraint",
    "duplicates": "an upgrade merges the duplicates, then adds the constraint",
    "refused": "an upgrade would refuse",
}

_OUTCOMES: Final = {True: "ok     ", False: "FAILED ", None: "unsure "}


def plan(console: Console, found: Preview, *, show_phones: bool) -> None:
    """Print everything that a preview found; phones masked unless they are asked for."""
    console.print(f"{found.table} ({', '.join(found.columns)}): {_STATES[found.state]}", style="bold")
    console.print(f"database {found.database}, as {found.role}{''.join(f'; {n} = {v}' for n, v in found.settings.items())}")
    if found.looked:
        console.print(_counts(found))
    if found.groups:
        console.print(f"survivor: the first by {found.survivor_order or 'primary key'}; then by primary key")
        _groups(console, found, show_phones=show_phones)
    _references(console, found)
    _changes(console, found)
    _steps(console, found)
    for note in found.notes:
        console.print(f"note: {note}")
    _reasons(console, found)


def checks(console: Console, found: Sequence[Check]) -> None:
    """Print a line for each check; where it does not hold, what was expected and what was found."""
    for check in found:
        style = "" if check.ok else "yellow" if check.ok is None else "bold red"
        console.print(f"{_OUTCOMES[check.ok]} {check.name}: {check.expected}", style=style)
        if not check.ok:
            console.print(f"        found: {check.found}")
    failed, untried = (sum(check.ok is each for check in found) for each in (False, None))
    console.print(
        f"{failed} of {len(found)} checks failed"
        if failed
        else f"{len(found) - untried} checks hold, {untried} could not be tried"
        if untried
        else f"all {len(found)} checks hold",
        style="bold",
    )


def whereabouts(console: Console, found: Whereabouts) -> None:
    """Print one merge after the other, and where they end."""
    for merge in found.merges:
        console.print(f"{merge.contact} was merged into {merge.into} at {merge.at}; kept in {merge.archive}", style="bold")
        for name, value in merge.held.items():
            console.print(f"  {name}: {value}")
        for table, count in merge.followed.items():
            console.print(f"  {_n(count, 'row')} of {table} went with it")
    if found.today is None:
        last = found.merges[-1].into if found.merges else found.contact
        console.print(f"{last} is not there, and not in the archive")
    elif found.merges:
        console.print(f"the contact of today is {found.today}")
    else:
        console.print(f"{found.contact} is there")


def _counts(found: Preview) -> str:
    counts = [
        f"{_n(found.groups, 'group')} of duplicates",
        f"{_n(found.duplicates, 'row')} to merge" + ("" if found.rows is None else f", of about {found.rows:,}"),
        f"{_n(found.blank_phones, 'blank phone')}",
    ]
    if found.near:
        counts.append(f"{_n(found.near, 'phone')} written in several ways, which are not merged")
    if found.seconds is not None:
        counts.append(f"roughly {found.seconds:,.0f} s")
    return "; ".join(counts)


def _groups(console: Console, found: Preview, *, show_phones: bool) -> None:
    phone = found.columns[-1]
    _table(
        console,
        "biggest groups",
        [*found.columns[:-1], phone, "rows"],
        ([*g.key, g.phone if show_phones else masked(g.phone), f"{g.rows:,}"] for g in found.biggest),
    )
    _table(
        console,
        "most duplicates",
        [*found.columns[:-1], "groups", "duplicates"],
        ([*w.key, f"{w.groups:,}", f"{w.duplicates:,}"] for w in found.workspaces),
    )
    lacking = sorted((found.fillable or {}).items(), key=lambda each: -each[1])
    filled = ((name, f"{count:,}", "filled" if name in found.fill else "lost to the archive") for name, count in lacking)
    _table(console, "values that duplicates have and survivors lack: see fill", ["column", "groups", ""], filled)


def _references(console: Console, found: Preview) -> None:
    rows = ((r.table, r.columns, r.parent, r.found, _known(r.rows), _known(r.refers)) for r in found.references)
    _table(console, "references", ["table", "columns", "to", "found by", "rows, about", "to a duplicate"], rows)


def _changes(console: Console, found: Preview) -> None:
    rows = ((c.table, f"{c.changed:,}", f"{c.merged:,}") for c in found.changes)
    _table(console, "rows", ["table", "changed", "merged into others"], rows)
    fired = ((listener.table, listener.kind, listener.name) for listener in found.listeners)
    _table(console, "what these changes fire or are sent to", ["table", "kind", "name"], fired)


def _steps(console: Console, found: Preview) -> None:
    steps = ((f"{n}", s.name, s.lock, s.writers) for n, s in enumerate(found.steps, 1))
    _table(console, "steps", ["", "step", "lock", "what a writer notices"], steps)


def _reasons(console: Console, found: Preview) -> None:
    for number, reason in enumerate(found.reasons, 1):
        console.print(f"{number}. {reason.problem}", style="bold red")
        console.print(f"   -> {reason.way_on}")


def _table(console: Console, title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    listed = [tuple(row) for row in rows]
    if not listed:
        return
    table = Table(*heads, title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    for row in listed:
        table.add_row(*row)
    console.print(table)


def _known(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
