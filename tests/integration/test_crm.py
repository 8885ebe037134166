"""The sample CRM, its snapshots and its writers: what the other tests stand on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sandbox import crm
from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.server_databases import database
from sandbox.snapshot import difference, row_count, snapshot, without_new_rows
from sandbox.structure import structure
from sandbox.webhook import Webhook
from sandbox.writer_report import CONSTRAINT, Contact, Record, Write, WriterReport
from sandbox.writers import Writers, check

COLLIDING = {
    "contact_tags": "tag_id",
    "conversations": "channel",
    "custom_values": "field_id",
    "profile_links": "url",
}


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="module")
def loaded(postgres, crm_template) -> Iterator[str]:
    """The CRM as loaded, for tests that only read."""
    with database(postgres.url, template=crm_template) as url:
        yield url


def test_it_has_groups_of_every_size_from_two_to_six(loaded):
    sizes = "SELECT count(*) AS size FROM contacts WHERE phone IS NOT NULL GROUP BY workspace_id, phone"

    found = rows(loaded, f"SELECT DISTINCT size FROM ({sizes}) AS groups ORDER BY size")

    assert [size for (size,) in found] == [1, 2, 3, 4, 5, 6]


def test_phones_are_missing_several_times_in_a_workspace_and_shared_between_workspaces(loaded):
    missing = rows(loaded, "SELECT count(*) FROM contacts WHERE phone IS NULL GROUP BY workspace_id")
    shared = rows(loaded, "SELECT phone FROM contacts GROUP BY phone HAVING count(DISTINCT workspace_id) > 1")

    assert min(count for (count,) in missing) > 1
    assert len(shared) > 3
    assert rows(loaded, "SELECT FROM contacts WHERE btrim(phone) = ''") == []


def test_the_oldest_of_some_duplicates_is_soft_deleted(loaded):
    oldest = "SELECT DISTINCT ON (workspace_id, phone) *, count(*) OVER (PARTITION BY workspace_id, phone) AS size"
    query = f"{oldest} FROM contacts WHERE phone IS NOT NULL ORDER BY workspace_id, phone, created_at"

    assert rows(loaded, f"SELECT FROM ({query}) AS first WHERE size > 1 AND deleted_at IS NOT NULL")


@pytest.mark.parametrize(("table", "column"), COLLIDING.items())
def test_children_of_duplicates_collide(loaded, table, column):
    query = f"SELECT FROM {table} JOIN contacts ON contacts.id = contact_id WHERE phone IS NOT NULL"

    assert rows(loaded, f"{query} GROUP BY workspace_id, phone, {column} HAVING count(*) > 1")


@pytest.mark.parametrize(
    ("table", "key", "content"),
    [
        ("conversations", "channel", "status"),
        ("custom_values", "field_id", "value"),
        ("contact_profiles", "NULL", "ROW(bio, language)"),
    ],
)
def test_children_that_collide_have_the_same_content(loaded, table, key, content):
    query = f"SELECT FROM {table} JOIN contacts ON contacts.id = contact_id WHERE phone IS NOT NULL"
    group = "GROUP BY workspace_id, phone" + (f", {key}" if key != "NULL" else "")

    assert rows(loaded, f"{query} {group} HAVING count(DISTINCT {content}) > 1") == []


def test_some_references_stay_within_a_group(loaded):
    query = """
        SELECT FROM contacts JOIN contacts AS referrer ON referrer.id = contacts.referred_by
        WHERE (contacts.workspace_id, contacts.phone) = (referrer.workspace_id, referrer.phone)
    """

    assert rows(loaded, query)


def test_the_same_number_of_contacts_gives_the_same_rows(new_database):
    first, second = new_database(), new_database()
    crm.load(first, 120)
    crm.load(second, 120)

    assert difference(snapshot(first), snapshot(second)) == []
    assert structure(first) == structure(second)
    assert rows(first, "SELECT count(*) FROM contacts") == [(120,)]


def test_a_difference_names_table_key_and_column(crm_url):
    before = snapshot(crm_url)
    ((contact, tag),) = rows(crm_url, "SELECT contact_id, tag_id FROM contact_tags ORDER BY 1, 2 LIMIT 1")
    ((event, at),) = rows(crm_url, "SELECT id, occurred_at::text FROM events_2026_02 ORDER BY id LIMIT 1")
    execute(
        crm_url,
        f"UPDATE contact_tags SET created_at = now() WHERE (contact_id, tag_id) = ('{contact}', '{tag}')",
        f"DELETE FROM events WHERE id = {event}",
        "DELETE FROM link_clicks WHERE ctid IN (SELECT ctid FROM link_clicks LIMIT 1)",
        "CREATE TABLE more (id int PRIMARY KEY)",
        "DROP TABLE conversation_participants",
    )

    assert difference(before, snapshot(crm_url)) == [
        "public.conversation_participants: table is gone",
        "public.more: table is new",
        f"public.contact_tags (contact_id, tag_id)=({contact}, {tag}) differs in created_at",
        f"public.events_2026_02 (id, occurred_at)=({event}, {at}) is gone",
        "public.link_clicks: 1 rows are gone and 0 are new (no primary key)",
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE contacts SET score = 1.5 WHERE score::text = '1.50'",
        "UPDATE contacts SET temperature = 0 WHERE temperature::text = '-0'",
        "UPDATE contacts SET raw_payload = raw_payload::jsonb::json",
        "UPDATE contacts SET tags = ARRAY['copy1', 'a, b'] WHERE tags::text = '[0:1]={copy1,\"a, b\"}'",
        "UPDATE contacts SET last_seen_at = NULL WHERE last_seen_at = 'infinity'",
        "UPDATE contacts SET avatar = NULL WHERE avatar = ''",
    ],
)
def test_a_snapshot_tells_values_apart_that_only_look_equal(crm_url, change):
    execute(crm_url, "ALTER TABLE contacts DISABLE TRIGGER set_updated_at")
    before = {hashed: snapshot(crm_url, hashed=hashed) for hashed in (False, True)}
    execute(crm_url, change)

    for hashed, taken in before.items():
        assert difference(taken, snapshot(crm_url, hashed=hashed))


def test_structure_sees_a_disabled_trigger_and_an_index(crm_url):
    before = structure(crm_url)
    execute(crm_url, "ALTER TABLE notes DISABLE TRIGGER set_updated_at", "CREATE INDEX more ON notes (body)")

    assert {line.split(" ")[0] for line in before ^ structure(crm_url)} == {
        "trigger",
        "index",
        "relation",
        "column",
    }


def test_writers_leave_every_existing_row_alone(crm_url):
    before, groups = snapshot(crm_url), duplicate_groups(crm_url)

    report = write_for_a_second(crm_url)

    after = snapshot(crm_url)
    assert difference(before, without_new_rows(before, after)) == []
    assert row_count(after) == row_count(before) + len(report.contacts) + len(report.messages)
    # Without a constraint races leave duplicates: that is what they are for.
    assert duplicate_groups(crm_url) > groups
    assert (report.unexpected, report.rejections, check(crm_url, report)) == ({}, {}, [])


def test_writers_meet_a_unique_index_with_23505_alone(crm_url):
    execute(crm_url, *unique())

    report = write_for_a_second(crm_url)

    assert set(report.rejections) == {("23505", CONSTRAINT)}
    assert 0 < report.rejections["23505", CONSTRAINT] <= report.races
    assert (report.unexpected, check(crm_url, report)) == ({}, [])
    assert constraint_is_valid(crm_url)


def test_a_stall_counts_from_when_each_write_was_due(crm_url):
    with Writers(crm_url, rate=100, races=5) as writers, psycopg.connect(crm_url) as blocker:
        blocker.execute("LOCK TABLE contacts")
        threading.Event().wait(0.5)
        blocker.rollback()
        threading.Event().wait(0.5)
        report = writers.stop()

    waits = report.waits()
    assert waits.longest >= 0.4
    # Writes that were due meanwhile waited, too, though they were not held up themselves.
    late = [write for write in report.writes if write.wait > 0.2]
    held_up = [write for write in report.writes if write.finished - write.started > 0.2]
    assert len(late) > len(held_up)


def test_check_finds_lost_writes_and_names_no_phone(crm_url):
    report = write_for_a_second(crm_url)
    message, stolen = report.messages[0].id, report.messages[1].id
    renamed, stranger = next(iter(report.names)), "SELECT id FROM contacts WHERE phone IS NULL LIMIT 1"
    execute(
        crm_url,
        f"DELETE FROM messages WHERE id = '{message}'",
        f"UPDATE messages SET contact_id = ({stranger}) WHERE id = '{stolen}'",
        f"UPDATE contacts SET name = 'somebody' WHERE id = '{renamed}'",
    )

    found = check(crm_url, report)

    assert f"message {message} is gone" in found
    assert any(line.startswith(f"message {stolen} belongs to contact ") for line in found)
    assert f"contact {renamed} lost its acknowledged name" in found
    assert len(found) == 3
    assert "+1" not in "".join(found)


def test_a_webhook_finds_a_contact_that_was_merged_away(crm_url):
    ((workspace, phone),) = rows(crm_url, "SELECT workspace_id, phone FROM contacts WHERE name = 'person 3'")
    gone = Contact(id="00000000-0000-0000-0000-000000000000", workspace_id=workspace, phone=phone)

    with Webhook(crm_url, "public") as hook:
        hook.perform("message", 0.0, lambda: hook.answer(gone, "hello"))
        hook.perform("update", 0.0, lambda: hook.rename(gone, "new name"))

    assert hook.record.retries == {"23503": 1, "moved": 1}
    assert (hook.record.errors, len(hook.record.messages), len(hook.record.names)) == ({}, 1, 1)
    assert phone not in repr(gone)


def test_writers_need_a_contact_to_begin_with(database_url):
    execute(database_url, "CREATE TABLE contacts (id int, workspace_id int, phone text)")

    with pytest.raises(ValueError, match="has no contact with a phone to begin with"):
        Writers(database_url).start()


def test_a_report_counts_everything_but_the_right_23505_as_unexpected():
    record = Record()
    record.rejections.update({("23505", CONSTRAINT): 2, ("23505", "other"): 1})
    record.errors["40P01"] += 1

    report = WriterReport.of([record], started=0.0, stopped=1.0)

    assert report.unexpected == {"40P01": 1, "23505 other": 1}


def test_waits_can_be_asked_for_a_part_of_the_time():
    record = Record()
    record.writes += [Write(kind="x", due=n, started=n, finished=n + (5.0 if n == 10 else 0.1)) for n in range(20)]
    report = WriterReport.of([record], started=0.0, stopped=20.0)

    assert report.waits(until=9).longest == pytest.approx(0.1)
    assert (report.waits(12, 13).longest, report.waits(12, 13).longest_after) == (5.0, 10)
    assert report.waits(since=100).count == 0


def unique() -> list[str]:
    """Statements that make the table unique the rough way."""
    same_key = "(o.workspace_id, o.phone) = (c.workspace_id, c.phone)"
    older = f"SELECT FROM contacts AS o WHERE {same_key} AND o.id < c.id"
    add = f"ALTER TABLE contacts ADD CONSTRAINT {CONSTRAINT} UNIQUE (workspace_id, phone)"
    return [f"UPDATE contacts AS c SET phone = NULL WHERE EXISTS ({older})", add]


def write_for_a_second(url: str) -> WriterReport:
    with Writers(url, rate=200, races=10) as writers:
        threading.Event().wait(1.0)
        return writers.stop()
