"""200 races for a new contact: in every phase, at both isolation levels, over every client."""

from __future__ import annotations

import psycopg
import pytest

from tests.webhook.clients import ASYNC, SYNC, WORKSPACE, race, race_async

IN_EVERY_PHASE = ["psycopg", "async SQLAlchemy, asyncpg"]
LEVELS = ["READ COMMITTED", "REPEATABLE READ"]
PHONES = [f"+1777{number:04}" for number in range(200)]
COUNT = "SELECT count(*), count(DISTINCT phone), max(id) - min(id) + 1 FROM contacts WHERE workspace_id = %s"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("client", IN_EVERY_PHASE)
def test_racing_webhooks_get_one_contact_for_each_phone(url, client, level):
    one_contact_for_each_phone(url, client, level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("client", [client for client in (*SYNC, *ASYNC) if client not in IN_EVERY_PHASE])
def test_any_client_will_do(in_phase, client, level):
    one_contact_for_each_phone(in_phase("no index"), client, level)


def one_contact_for_each_phone(url, client, level):
    racing = race(SYNC[client], url, level, PHONES) if client in SYNC else race_async(ASYNC[client], url, level, PHONES)

    assert len(racing) == 200
    assert all(first.id == second.id for first, second in racing)
    assert all(sorted([first.created, second.created]) == [False, True] for first, second in racing)
    with psycopg.connect(url) as connection:
        rows, phones, numbers = connection.execute(COUNT, (WORKSPACE,)).fetchone()
    assert (rows, phones) == (200, 200)
    if level == "READ COMMITTED":
        assert numbers == 200, "numbers of the sequence were burned"
