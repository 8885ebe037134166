"""The example service, over HTTP, while its database is upgraded, rolled back and upgraded again under it."""

from __future__ import annotations

import secrets

import httpx
import psycopg
import pytest

from sandbox.http_load import WORKSPACE, fill, loaded, served, wrong
from sandbox.server_databases import database
from tests.migration.observed import eventually, execute, rows, value
from tests.webhook.conftest import migrate

CONTACTS = 3000
STEPS = {"upgrade": "head", "downgrade": "base", "upgrade again": "head"}


@pytest.fixture
def service_url(database_url):
    fill(database_url, CONTACTS)
    return database_url


def test_no_webhook_fails_while_phones_become_unique_and_back(service_url):
    with served(service_url) as address, loaded(address, CONTACTS, rate=150) as load:
        for step, target in STEPS.items():
            eventually(lambda: load.count(load.phase) >= 100, "100 answers")
            load.phase = step
            migrate(service_url, step.split()[0], target)
            load.phase = f"after the {step}"
        eventually(lambda: load.count(load.phase) >= 100, "100 answers")

    assert set(load.statuses()) == {200}
    assert all(load.count(step) for step in STEPS)
    assert wrong(service_url, load) == []


@pytest.fixture(scope="module")
def served_url(postgres):
    with database(postgres.url) as url:
        fill(url, CONTACTS)
        yield url


@pytest.fixture(scope="module")
def client(served_url):
    with served(served_url) as address, httpx.Client(base_url=address) as client:
        yield client


def message(**more):
    return {"workspace_id": WORKSPACE, "provider_id": secrets.token_hex(8), "phone": "+17770001", "body": "hello"} | more


def test_a_message_is_stored_once_and_leaves_no_contact_behind_when_it_comes_again(client, served_url):
    before = value(served_url, "SELECT count(*) FROM contacts")
    for phone in ("+17770001", None):
        sent = message(phone=phone, provider_id=f"m {phone}")
        first, second = (client.post("/webhooks/messages", json=sent).json() for _ in range(2))
        assert first == second | {"stored": True}
        assert second["stored"] is False

    assert value(served_url, "SELECT count(*) FROM contacts") == before + 2
    assert rows(served_url, "SELECT count(*) FROM messages WHERE provider_id LIKE 'm %%'") == [(2,)]


def test_another_workspaces_message_with_the_same_id_is_another_message(client, served_url):
    other = "00000000-0000-0000-0000-000000000002"
    execute(served_url, f"INSERT INTO workspaces VALUES ('{other}', 'Other')")
    sent = message()
    first, second = (client.post("/webhooks/messages", json=sent | {"workspace_id": w}).json() for w in (WORKSPACE, other))

    assert (first["stored"], second["stored"]) == (True, True)
    assert first["contact_id"] != second["contact_id"]


def test_a_connection_that_is_lost_is_made_anew_and_a_message_that_it_cost_can_be_sent_again(client, served_url):
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
    with psycopg.connect(served_url) as connection:
        connection.execute(ended, (connection.info.backend_pid,))
    assert client.post("/webhooks/messages", json=message()).json()["stored"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"workspace_id": "00000000-0000-0000-0000-000000000009"}, 404),
        ({"workspace_id": "1"}, 422),
        ({"phone": "+1\x00"}, 422),
        ({"provider_id": ""}, 422),
        ({"phone": "1" * 41}, 422),
    ],
)
def test_a_bad_message_is_refused_without_its_phone(client, more, status):
    answer = client.post("/webhooks/messages", json=message(**more))

    assert answer.status_code == status
    assert "1777" not in answer.text


def test_prometheus_finds_durations_and_rejections(service_url):
    with served(service_url) as address, httpx.Client(base_url=address) as client:
        client.post("/webhooks/messages", json=message())
        page = client.get("/metrics").text

    assert 'webhook_seconds_count{status="200"} 1.0' in page
    assert "contacts_schema_webhook_find_or_create_duration_seconds_bucket" in page
