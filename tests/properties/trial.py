"""One example on its way up: merged, checked, or refused without a trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import note, reject

from contacts_schema.errors import Refused
from contacts_schema.report import Report
from sandbox.proofs import constraint_is_valid
from sandbox.snapshot import Snapshot, difference, snapshot
from sandbox.structure import structure
from tests.properties import script, work
from tests.properties.features import features
from tests.properties.images import take
from tests.properties.merged import Merged
from tests.properties.model import Schema
from tests.properties.outcomes import Outcomes

__all__ = ["Trial", "differences", "expect_none", "merge"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A database that was upgraded, and how it was before."""

    url: str
    merged: Merged
    report: Report
    structure: frozenset[str]

    def differences(self) -> list[str]:
        """What of the database is not now as it was before the upgrade."""
        return differences(self.url, self.merged.before.taken, self.structure)


def merge(url: str, schema: Schema, outcomes: Outcomes) -> Trial:
    """Make the schema, upgrade it, and check the outcome. One that is refused is counted, and another one drawn instead."""
    note(script.whole(schema))
    work.make(url, schema)
    before, made = take(url, schema), structure(url)
    try:
        report = work.upgrade(url, schema)
    except Refused as refused:
        expect_none(differences(url, before.taken, made))
        outcomes.note(f"refused: {', '.join(sorted({reason.code for reason in refused.reasons}))}", features(schema))
        reject()
    merged = Merged(schema, before, take(url, schema))
    expect_none(merged.problems())
    assert constraint_is_valid(url)
    assert report.rows_archived == sum(len(rows) for rows in merged.after.archive.values())
    return Trial(url=url, merged=merged, report=report, structure=made)


def expect_none(problems: Iterable[str]) -> None:
    """Fail with all of them."""
    found = list(problems)
    assert not found, "\n".join(found)


def differences(url: str, before: Snapshot, made: frozenset[str]) -> list[str]:
    """What of a database is not as it was."""
    return [*difference(before, snapshot(url)), *sorted(made ^ structure(url))]
