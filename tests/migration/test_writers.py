"""Writers at a steady rate, racing duplicates among them, through the whole way up and the whole way down."""

from __future__ import annotations

import pytest

from sandbox.proofs import check, constraint_is_valid, duplicate_groups
from sandbox.snapshot import difference, snapshot, without_new_rows
from sandbox.writers import Writers
from tests.migration.observed import eventually, remains, rows, value, without_stamps

WRITTEN = "SELECT count(*) FROM contacts WHERE phone LIKE '+1998%'"


def gone_on(url: str, so_far: int, enough: int = 20) -> None:
    """Wait until the writers have raced some more."""
    eventually(lambda: value(url, WRITTEN) >= so_far + enough, f"{enough} more races")


@pytest.mark.parametrize("settings", [{}, {"CONTACTS_SCHEMA_BATCH_SIZE": "1"}], ids=["one batch", "many batches"])
def test_racing_writers_lose_nothing_while_their_table_becomes_unique(crm_url, migrate, settings):
    with Writers(crm_url, rate=150, races=15) as writers:
        gone_on(crm_url, 0)
        migrate(crm_url, "upgrade", "head", **settings)
        constrained = value(crm_url, WRITTEN)
        gone_on(crm_url, constrained)
        report = writers.stop()

    assert duplicate_groups(crm_url) == 0
    assert constraint_is_valid(crm_url)
    assert check(crm_url, report) == []
    # A racer is told so by the guard first and by the constraint then, with the same code and name.
    assert report.unexpected == {}
    assert set(report.rejections) == {("23505", "unique_phone_workspace")}
    assert set(report.retries) <= {"23503", "moved"}
    assert remains(crm_url) == []


def test_an_id_that_is_merged_while_a_writer_holds_it_is_no_error_as_long_as_the_upgrade_lasts(crm_url, migrate):
    with Writers(crm_url, rate=150, races=15) as writers:
        gone_on(crm_url, 0)
        migrate(crm_url, "upgrade", "dedupe_contacts")
        gone_on(crm_url, value(crm_url, WRITTEN))
        report = writers.stop()

    assert report.unexpected == {}
    assert "23503" not in report.retries
    assert check(crm_url, report) == []


def test_writers_go_on_through_a_downgrade_and_what_was_there_comes_back(crm_url, migrate):
    before = snapshot(crm_url)
    migrate(crm_url, "upgrade", "head")

    with Writers(crm_url, rate=150, races=15) as writers:
        gone_on(crm_url, 0)
        migrate(crm_url, "downgrade", "base")
        gone_on(crm_url, value(crm_url, WRITTEN))
        report = writers.stop()

    assert difference(before, without_new_rows(before, snapshot(crm_url))) == []
    assert lost_messages(crm_url, report) == []
    assert report.unexpected == {}
    # Nobody keeps duplicates out any more.
    assert duplicate_groups(crm_url) > 34
    assert remains(crm_url) == []


def lost_messages(url, report):
    there = {id for (id,) in rows(url, "SELECT id FROM messages")}
    return [message.id for message in report.messages if message.id not in there]


def test_a_second_upgrade_merges_what_raced_after_the_downgrade(crm_url, migrate):
    before = snapshot(crm_url)
    migrate(crm_url, "upgrade", "head")
    first = without_stamps(snapshot(crm_url))
    migrate(crm_url, "downgrade", "base")

    with Writers(crm_url, rate=150, races=15) as writers:
        gone_on(crm_url, 0)
        migrate(crm_url, "upgrade", "head")
        report = writers.stop()

    assert duplicate_groups(crm_url) == 0
    assert check(crm_url, report) == []
    after = without_stamps(without_new_rows(before, snapshot(crm_url)))
    assert after["public.contacts"] == first["public.contacts"]
