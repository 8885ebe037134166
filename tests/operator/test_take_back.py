"""`contacts-schema restore`: the way back from any state of an upgrade."""

from __future__ import annotations

import pytest

from sandbox.snapshot import difference, snapshot
from tests.migration.observed import execute, rows, value

STATES = {
    "upgraded": [],
    "merged": ["upgrade dedupe_contacts"],
    "upgraded and not stamped": ["stamp base"],
    "merged and not stamped": ["upgrade dedupe_contacts", "stamp base"],
}
VERSIONS = "SELECT version_num FROM alembic_version"


@pytest.mark.parametrize("state", STATES)
def test_everything_is_as_it_was(crm_command, upgraded, crm_url, upgraded_url, state):
    before = snapshot(crm_url)
    url = upgraded_url if state.startswith("upgraded") else crm_url
    for step in STATES[state]:
        upgraded(url, *step.split())

    done = crm_command(url, "restore", "--yes")

    assert done.returncode == 0, done.stderr
    assert "upgrade taken back: " in done.stdout
    assert rows(url, VERSIONS) == []
    execute(url, "DROP TABLE alembic_version")
    assert difference(before, snapshot(url)) == []
    assert value(url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'contacts_schema'") == 0


def test_an_upgrade_afterwards_works(crm_command, upgraded, upgraded_url):
    crm_command(upgraded_url, "restore", "--yes")
    upgraded(upgraded_url, "upgrade", "head")
    assert crm_command(upgraded_url, "verify").returncode == 0


def test_where_nothing_was_done_nothing_happens(crm_command, crm_url):
    before = snapshot(crm_url)
    done = crm_command(crm_url, "restore", "--yes")

    assert done.returncode == 0
    assert "no rows changed" in done.stdout
    assert difference(before, snapshot(crm_url)) == []


def test_a_constraint_that_somebody_else_has_made_stays(command, database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone)",
    )
    done = command(database_url, "restore", "--yes")

    assert done.returncode == 0
    assert "there is nothing of an upgrade of public.contacts here" in done.stdout
    assert command(database_url, "verify").returncode == 0


def test_another_tables_upgrade_is_not_taken_for_this_ones(command, upgraded, database_url):
    execute(
        database_url,
        "CREATE TABLE leads (id int PRIMARY KEY, workspace_id bigint, phone text)",
        "INSERT INTO leads VALUES (1, 1, '5'), (2, 1, '5')",
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id bigint, phone text)",
    )
    upgraded(database_url, "-x", "table=leads", "upgrade", "head")
    execute(
        database_url,
        "ALTER TABLE leads RENAME CONSTRAINT unique_phone_workspace TO u2",
        "ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone)",
    )
    done = command(database_url, "restore", "--yes")

    assert "there is nothing of an upgrade of public.contacts here" in done.stdout
    assert rows(database_url, VERSIONS) == [("unique_phone_workspace",)]
    assert value(database_url, "SELECT count(*) FROM pg_constraint WHERE conname = 'unique_phone_workspace'") == 1


def test_other_revisions_stay_stamped(crm_command, upgraded_url):
    execute(upgraded_url, "INSERT INTO alembic_version VALUES ('somebody_elses')")
    crm_command(upgraded_url, "restore", "--yes")
    assert rows(upgraded_url, VERSIONS) == [("somebody_elses",)]


def test_what_cannot_come_back_is_listed_and_the_exit_code_says_so(crm_command, upgraded_url):
    merged = value(upgraded_url, "SELECT id FROM contacts_schema.archive_1_contacts LIMIT 1")
    execute(
        upgraded_url,
        f"UPDATE contacts_schema.archive_1_contacts SET workspace_id = gen_random_uuid() WHERE id = '{merged}'",
    )
    done = crm_command(upgraded_url, "restore", "--yes")
    assert done.returncode == 1
    assert f"public.contacts (id={merged}): stays in the archive" in done.stdout


def test_it_asks_and_where_nobody_can_answer_it_says_what_to_give(crm_command, upgraded_url):
    done = crm_command(upgraded_url, "restore")

    assert done.returncode == 1
    assert "give --yes" in done.stderr
    assert rows(upgraded_url, VERSIONS) == [("unique_phone_workspace",)]
