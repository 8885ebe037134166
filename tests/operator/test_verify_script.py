"""`contacts-schema verify --sql`: the same checks as a script, for psql or an SQL editor."""

from __future__ import annotations

import pytest

from sandbox import crm
from sandbox.snapshot import difference, snapshot
from tests.migration.observed import execute
from tests.operator.conftest import run
from tests.operator.scripts import paste

CASES = ("duplicate phone in the same workspace", "same phone in another workspace", "another phone in the same workspace")


def results(url: str, **env: str) -> dict[str, str]:
    """The result of each check; of several references the worst one."""
    done = run("", "verify", "--sql", **{**crm.SETTINGS, **env})
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = {}
    for name, result, _, _ in paste(url, done.stdout):
        found[str(name)] = min(str(result), found.get(str(name), "unsure"))
    return found


def test_everything_holds_after_an_upgrade(elsewhere, upgraded_url):
    before = snapshot(upgraded_url)
    assert results(upgraded_url) == dict.fromkeys(("constraint", "index", "duplicates", "references", *CASES), "holds")
    assert difference(before, snapshot(upgraded_url)) == []


def test_twice_in_a_row(elsewhere, upgraded_url):
    assert results(upgraded_url) == results(upgraded_url)


def test_before_an_upgrade_it_says_what_fails(elsewhere, crm_url):
    found = results(crm_url)
    assert [name for name, result in found.items() if result == "FAILS"] == ["constraint", "index", "duplicates", CASES[0]]


def test_a_reference_that_leads_nowhere_fails(elsewhere, upgraded_url):
    execute(
        upgraded_url,
        "UPDATE activities SET subject_id = gen_random_uuid() "
        "WHERE id = (SELECT id FROM activities WHERE subject_type = 'Contact' LIMIT 1)",
    )
    assert results(upgraded_url)["references"] == "FAILS"


def test_another_constraint_by_the_name_fails(elsewhere, database_url):
    execute(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)",
        "ALTER TABLE contacts ADD CONSTRAINT unique_phone_workspace UNIQUE (phone)",
        "INSERT INTO contacts VALUES (1, 1, '+15550001')",
    )
    found = results(database_url, CONTACTS_SCHEMA_REFERENCES="")
    assert found["constraint"] == "FAILS"
    assert found["same phone in another workspace"] == "FAILS"


def test_without_a_contact_the_cases_are_not_tried(elsewhere, database_url):
    execute(database_url, "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text)")
    found = results(database_url, CONTACTS_SCHEMA_REFERENCES="")
    assert [found[case] for case in CASES] == ["unsure"] * 3


def test_it_needs_no_database(elsewhere):
    assert run("", "verify", "--sql").returncode == 0


def test_json_beside_it_is_refused(elsewhere):
    done = run("", "verify", "--sql", "--json")
    assert done.returncode == 1
    assert "two different things" in done.stderr


@pytest.mark.parametrize("name", ["50%", 'we"ird', "Ünïcode"])
def test_names_of_any_kind(elsewhere, upgraded, database_url, name):
    quoted = name.replace('"', '""')
    execute(
        database_url,
        f'CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, "{quoted}" text)',
        "INSERT INTO contacts VALUES (1, 1, '+15550001')",
    )
    given = {"CONTACTS_SCHEMA_PHONE_COLUMN": f'"{quoted}"'}
    upgraded(database_url, "upgrade", "head", **given)
    assert set(results(database_url, CONTACTS_SCHEMA_REFERENCES="", **given).values()) == {"holds"}
