from __future__ import annotations

from hypothesis import given, note

from contacts_schema.errors import Refused
from sandbox.snapshot import difference
from tests.properties import edits, script, work
from tests.properties.edited import Edited
from tests.properties.features import features
from tests.properties.images import take
from tests.properties.merged import Merged
from tests.properties.model import Schema
from tests.properties.profiles import PROFILE
from tests.properties.schemas import schemas


@PROFILE
@given(schema=schemas(), wanted=edits.edits())
def test_edits_stay_and_the_rest_comes_back(database_url, outcomes, schema: Schema, wanted: list[edits.Edit]):
    """Up, edits, and down: edits stay, the rest comes back"""
    note(script.whole(schema))
    work.make(database_url, schema)
    before = take(database_url, schema)
    try:
        work.upgrade(database_url, schema)
    except Refused as refused:
        outcomes.note(f"refused: {', '.join(sorted({reason.code for reason in refused.reasons}))}", features(schema))
        return
    merged = Merged(schema, before, take(database_url, schema))
    made = set(edits.make(database_url, merged, wanted))
    edited = take(database_url, schema)
    kept = work.downgrade(database_url, schema).kept
    note("\n".join(kept))
    result = Edited(merged, edited, take(database_url, schema), kept)
    assert list(result.problems()) == []
    assert result.touched or (kept == () and difference(before.taken, result.restored.taken) == [])
    outcomes.note(_outcome(result), [*features(schema), *(f"edit: {kind}" for kind in made)])


def _outcome(result: Edited) -> str:
    if not result.touched:
        return "nothing edited, all back"
    return "edited, and some of it kept from coming back" if result.kept else "edited, all else back"
