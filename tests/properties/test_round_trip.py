from __future__ import annotations

from hypothesis import given, note

from contacts_schema.errors import Refused
from contacts_schema.report import Report
from sandbox.proofs import constraint_is_valid
from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure
from tests.properties import script, work
from tests.properties.features import features
from tests.properties.images import take
from tests.properties.merged import Merged
from tests.properties.model import Schema
from tests.properties.profiles import PROFILE
from tests.properties.schemas import schemas


@PROFILE
@given(schema=schemas())
def test_every_row_comes_back(database_url, outcomes, schema: Schema):
    """Up and down again: nothing lost, everything back"""
    note(script.whole(schema))
    work.make(database_url, schema)
    before, made = take(database_url, schema), structure(database_url)
    try:
        report = work.upgrade(database_url, schema)
    except Refused as refused:
        assert difference(before.taken, snapshot(database_url)) == []
        assert sorted(made ^ structure(database_url)) == []
        outcomes.note(f"refused: {', '.join(sorted({reason.code for reason in refused.reasons}))}", features(schema))
        return
    after = take(database_url, schema)
    assert list(Merged(schema, before, after).problems()) == []
    assert constraint_is_valid(database_url)
    assert report.rows_archived == sum(len(rows) for rows in after.archive.values())
    restored = work.downgrade(database_url, schema)
    assert restored.kept == ()
    assert difference(before.taken, snapshot(database_url)) == []
    assert sorted(made ^ structure(database_url)) == []
    outcomes.note(_outcome(report), features(schema))


def _outcome(report: Report) -> str:
    if report.rows_archived > report.rows_merged:
        return "merged, rows of children that collided too"
    return "merged" if report.rows_merged else "nothing to merge"
