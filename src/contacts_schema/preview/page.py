"""The same as one self-contained page, for whoever approves. Pure: values in, HTML out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Final

from ..errors import without_phones
from .figures import Preview, Sample, masked

_STATES: Final = {
    "constrained": "Nothing to do: the constraint is there.",
    "unique": "There are no duplicates. An upgrade adds the constraint.",
    "duplicates": "An upgrade merges the duplicates, then adds the constraint.",
    "refused": "An upgrade would refuse.",
}
_PHONES: Final = {True: "Phone numbers are shown whole.", False: "Phone numbers are masked."}
_PERSONAL: Final = " It holds whole rows: send it to nobody who may not see these people's data."
_BAR: Final = 22
_WIDEST: Final = 560


def page(found: Preview, *, show_phones: bool, now: datetime | None = None) -> str:
    """Return the page. Phone numbers are masked, and whatever looks like one, unless they are asked for."""
    parts = _Parts(found, show_phones=show_phones)
    return Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{found.table}: unique {', '.join(found.columns)}"),
        state=_STATES[found.state],
        body="\n".join(parts.all()),
        made=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        version=escape(version("contacts_schema")),
        phones=_PHONES[show_phones] + (_PERSONAL if found.samples else ""),
    )


class _Parts:
    def __init__(self, found: Preview, *, show_phones: bool) -> None:
        self.found, self.show_phones = found, show_phones

    def all(self) -> Iterable[str]:
        found = self.found
        given = "".join(f"; {name} = {value}" for name, value in found.settings.items())
        yield f"<p>Database {escape(found.database)}, as {escape(found.role)}{escape(given)}.</p>"
        yield from (
            f'<div class="reason">{escape(reason.problem)}<div class="way">→ {escape(reason.way_on)}</div></div>'
            for reason in found.reasons
        )
        yield from (f"<p>{escape(note)}</p>" for note in found.notes)
        if found.looked:
            yield self._counts()
        yield self._chart()
        yield _table("Rows that change", ["table", "changed", "merged into others"], self._changes())
        yield _table(
            "References", ["table", "columns", "to", "found by", "rows, about", "to a duplicate"], self._references()
        )
        yield _table("Values that duplicates have and survivors lack", ["column", "groups", ""], self._fillable())
        listeners = ([each.table, each.kind, each.name] for each in found.listeners)
        yield _table("What these changes fire, or are sent to", ["table", "kind", "name"], listeners)
        steps = ([number, step.name, step.lock, step.writers] for number, step in enumerate(found.steps, 1))
        yield _table("Steps", ["", "step", "lock", "what a writer notices"], steps)
        yield self._samples()

    def _counts(self) -> str:
        found = self.found
        counts = [
            ("groups of duplicates", found.groups),
            ("rows to merge", found.duplicates),
            ("rows, about", found.rows),
            ("blank phones", found.blank_phones),
            ("phones written in several ways, not merged", found.near),
            ("seconds, roughly", None if found.seconds is None else round(found.seconds)),
        ]
        return _table("In numbers", ["", "count"], ([name, count] for name, count in counts if count is not None))

    def _changes(self) -> Iterable[Sequence[object]]:
        return ([change.table, change.changed, change.merged] for change in self.found.changes)

    def _references(self) -> Iterable[Sequence[object]]:
        for each in self.found.references:
            yield [each.table, each.columns, each.parent, each.found, _known(each.rows), _known(each.refers)]

    def _fillable(self) -> Iterable[Sequence[object]]:
        for name, count in sorted((self.found.fillable or {}).items(), key=lambda each: -each[1]):
            yield [name, count, "filled" if name in self.found.fill else "lost to the archive"]

    def _chart(self) -> str:
        """Bars of the workspaces with the most duplicates."""
        workspaces = self.found.workspaces
        if not workspaces:
            return ""
        most = max(workspace.duplicates for workspace in workspaces)
        bars = (
            f'<text x="0" y="{row * _BAR + 14}">{escape(" ".join(each.key) or "all")}</text>'
            f'<rect x="300" y="{row * _BAR + 3}" width="{max(2, each.duplicates * _WIDEST // most)}" height="{_BAR - 8}"/>'
            f'<text x="{306 + each.duplicates * _WIDEST // most}" y="{row * _BAR + 14}">{each.duplicates:,}</text>'
            for row, each in enumerate(workspaces)
        )
        height, label = len(workspaces) * _BAR, "duplicates by workspace"
        drawn = f'<svg role="img" aria-label="{label}" viewBox="0 0 940 {height}" width="100%">{"".join(bars)}</svg>'
        return f"<h2>Duplicates by workspace</h2>{drawn}"

    def _samples(self) -> str:
        samples = self.found.samples
        if not samples:
            return ""
        rest = self.found.groups - len(samples)
        more = f" The other {rest:,} are not on this page." if rest > 0 else ""
        head = (
            f'<h2>Groups</h2><p>The first row of each stays.{more}</p><p class="noprint"><input type="search" '
            f'placeholder="search" aria-label="search the groups"> <span id="shown">{len(samples)}</span> shown</p>'
        )
        return head + "".join(self._sample(sample) for sample in samples)

    def _sample(self, sample: Sample) -> str:
        columns, survivor = list(sample.rows[0]), sample.rows[0]
        key = " · ".join(self._value(name, survivor.get(name)) for name in self.found.columns)
        rows = "".join(
            f'<tr class="{"survivor" if row is survivor else "duplicate"}">'
            + "".join(f"<td>{self._value(name, row[name])}</td>" for name in columns)
            + "</tr>"
            for row in sample.rows
        )
        heads = "".join(f"<th>{escape(name)}</th>" for name in columns)
        more = f"<p>and {sample.more:,} more</p>" if sample.more else ""
        return (
            f'<details class="group"><summary>{key}: {len(sample.rows) + sample.more:,} rows</summary>'
            f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{more}</details>'
        )

    def _value(self, column: str, value: str | None) -> str:
        if value is None:
            return ""
        if column == self.found.columns[-1] and not self.show_phones:
            return escape(masked(value))
        shown = self.show_phones or column in self.found.columns or column in self.found.phoneless
        return escape(value if shown else without_phones(value))


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    listed = list(rows)
    if not listed:
        return ""
    head = "".join(f"<th{_class(listed[0][place])}><button>{escape(name)}</button></th>" for place, name in enumerate(heads))
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in listed)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<h2>{escape(title)}</h2><div class="scroll">{table}</div>'


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="n" data-value="{value}">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


def _class(value: object) -> str:
    return ' class="n"' if isinstance(value, int) else ""


def _known(count: int | None) -> object:
    return "?" if count is None else count
