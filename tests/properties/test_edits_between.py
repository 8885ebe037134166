from __future__ import annotations

from hypothesis import given, note

from tests.properties import edits, trial, work
from tests.properties.edited import Edited
from tests.properties.features import features
from tests.properties.images import take
from tests.properties.model import Schema
from tests.properties.profiles import PROFILE
from tests.properties.schemas import schemas


@PROFILE
@given(schema=schemas(), wanted=edits.edits())
def test_edits_stay_and_the_rest_comes_back(database_url, outcomes, schema: Schema, wanted: list[edits.Edit]):
    """Up, edits, and down: edits stay, the rest comes back"""
    up = trial.merge(database_url, schema, outcomes)
    made = set(edits.make(database_url, up.merged, wanted))
    edited = take(database_url, schema)
    kept = work.downgrade(database_url, schema).kept
    note("\n".join(kept))
    result = Edited(up.merged, edited, take(database_url, schema), kept)
    trial.expect_none(result.problems())
    if not result.touched:
        assert kept == ()
        trial.expect_none(up.differences())
    outcomes.note(_outcome(result), [*features(schema), *(f"edit: {kind}" for kind in made)])


def _outcome(result: Edited) -> str:
    if not result.touched:
        return "nothing edited, all back"
    return "edited, and some of it kept from coming back" if result.kept else "edited, all else back"
