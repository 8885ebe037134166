from __future__ import annotations

from hypothesis import given

from contacts_schema.report import Report
from tests.properties import trial, work
from tests.properties.features import features
from tests.properties.model import Schema
from tests.properties.profiles import PROFILE
from tests.properties.schemas import schemas


@PROFILE
@given(schema=schemas())
def test_every_row_comes_back(database_url, outcomes, schema: Schema):
    """Up and down again: nothing lost, everything back"""
    up = trial.merge(database_url, schema, outcomes)
    down = work.downgrade(database_url, schema)
    assert down.kept == ()
    trial.expect_none(up.differences())
    outcomes.note(_outcome(up.report), features(schema))


def _outcome(report: Report) -> str:
    if report.rows_archived > report.rows_merged:
        return "merged, rows of children that collided too"
    return "merged" if report.rows_merged else "nothing to merge"
