"""Counts what came of every example, and what the examples were made of; as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import event

from tests.properties.profiles import ASKED, USUAL

__all__ = ["PROPERTY", "Outcomes", "page", "tables"]

PROPERTY: Final = "outcomes"
"""The name under which a test's report carries them, from one process to another too."""

HEAD: Final = """\
# Random schemas

What came of random schemas around a contacts table, with random rows: one to eight tables, up to {depth} references
deep. This page is written by

```
PROPERTY_EXAMPLES={asked} PROPERTY_REPORT=docs/properties.md python -m pytest -n 3 tests/properties
```

An example ends with an error, and so fails its test, if anything else comes of it than what is named here. Refused is
what a merge cannot do exactly; the test makes sure that a refusal has changed nothing at all."""


@dataclass(kw_only=True)
class Outcomes:
    """What came of the examples of one property, and the features that they had."""

    title: str
    server: str
    outcomes: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis shows of it is short."""
        printer.text("outcomes")

    def note(self, outcome: str, features: Iterable[str]) -> None:
        """Count one example."""
        event(outcome)
        self.outcomes[outcome] += 1
        self.features.update(set(features))

    def plain(self) -> dict[str, Any]:
        """Of types that one process can send to another."""
        return {
            "title": self.title,
            "server": self.server,
            "outcomes": dict(self.outcomes),
            "features": dict(self.features),
        }


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a Markdown table: what came of one property's examples, the most frequent first."""
    total = sum(found["outcomes"].values())
    counts = sorted(found["outcomes"].items(), key=lambda item: (-item[1], item[0]))
    yield from _table(("outcome", "examples", "share"), [(name, n, f"{100 * n / total:.1f} %") for name, n in counts])


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """Everything that was found, as a page of the documentation."""
    features: Counter[str] = Counter()
    for one in found:
        features.update(one["features"])
    examples = sum(sum(one["outcomes"].values()) for one in found)
    depth = max(int(name.split()[1]) for name in features if name.startswith("chain: "))
    lines = [HEAD.format(asked=ASKED or USUAL, depth=depth)]
    for one in sorted(found, key=lambda one: str(one["title"])):
        lines += ["", f"## {one['title']}", "", f"{sum(one['outcomes'].values())} examples on {one['server']}.", ""]
        lines += tables(one)
    lines += ["", "## What the examples were made of", "", f"Of {examples}, how many had it once or more:", ""]
    lines += _table(("feature", "examples"), sorted(features.items()))
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Numbers to the right."""
    widths = [max(len(str(row[column])) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[object]) -> str:
        first, *others = (
            f"{cell!s:{'' if n == 0 else '>'}{width}}" for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    yield line(head)
    yield "|" + "|".join("-" * (width + 1) + ("-" if n == 0 else ":") for n, width in enumerate(widths)) + "|"
    yield from map(line, rows)
