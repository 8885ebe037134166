from __future__ import annotations

from hypothesis import given

from sandbox.proofs import constraint_is_valid
from sandbox.snapshot import difference, snapshot
from tests.properties import trial, work
from tests.properties.features import features
from tests.properties.images import take
from tests.properties.merged import Merged
from tests.properties.model import Schema
from tests.properties.profiles import PROFILE
from tests.properties.schemas import schemas


@PROFILE
@given(schema=schemas())
def test_a_script_does_what_an_upgrade_does(database_url, outcomes, schema: Schema):
    """A script up and a script down: as the upgrade online, and everything back"""
    online = trial.merge(database_url, schema, outcomes)
    left = snapshot(database_url)
    work.make(database_url, schema)
    before = take(database_url, schema)
    work.upgrade_by_script(database_url, schema)
    merged = Merged(schema, before, take(database_url, schema))

    trial.expect_none(merged.problems())
    assert constraint_is_valid(database_url)
    unlike = [line for line in difference(left, snapshot(database_url)) if not line.endswith("differs in updated_at")]
    assert _stamped(schema) or _parted(schema) or unlike == []
    assert _parted(schema) or _archived(merged) == _archived(online.merged)
    told = work.downgrade_by_script(database_url, schema)
    assert [line for line in told if "rows brought back" not in line] == []
    trial.expect_none(trial.differences(database_url, before.taken, online.structure))
    outcomes.note("the same", features(schema))


def _archived(merged: Merged) -> dict[str, set[str]]:
    """Marks by table."""
    return {name: set(rows) for name, rows in merged.after.archive.items()}


def _parted(schema: Schema) -> bool:
    """Of children that come to be equal in several batches, by a group's slices or by two groups, a script, which has one
    batch, may keep another.
    """
    return bool(schema.cap or (schema.settings["batch_size"] and any(len(table.links) > 1 for table in schema.tables)))


def _stamped(schema: Schema) -> bool:
    """Rows without a primary key that a trigger stamps with the time are told apart by nothing else."""
    return any(table.stamped and not table.primary for table in schema.tables)
