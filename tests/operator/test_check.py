"""`alembic check`: silent as long as the constraint is there."""

from __future__ import annotations

import psycopg
import pytest

from sandbox.alembic_command import environment
from sandbox.alembic_here import run_here
from tests.migration.observed import execute

DROP = "ALTER TABLE contacts DROP CONSTRAINT unique_phone_workspace"


def check(url):
    return run_here(["check"], environment(url))


@pytest.fixture
def url(upgraded_url):
    return upgraded_url


def test_all_is_well(url):
    done = check(url)
    assert done.returncode == 0, done.stderr
    assert "unique_phone_workspace" not in done.stdout + done.stderr


def test_a_missing_constraint_is_reported(url):
    execute(url, DROP)
    done = check(url)
    assert done.returncode != 0
    assert "unique_phone_workspace" in done.stdout + done.stderr


def test_an_invalid_index_in_its_place_is_reported(url):
    execute(url, DROP)
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY unique_phone_workspace ON contacts ((1))")
    done = check(url)
    assert done.returncode != 0
    assert "unique_phone_workspace" in done.stdout + done.stderr


def test_a_database_that_is_not_upgraded_is_reported(crm_url):
    done = check(crm_url)
    assert done.returncode != 0
    assert "not up to date" in done.stdout + done.stderr
