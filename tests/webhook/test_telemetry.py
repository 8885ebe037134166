"""What is logged and counted: rejected duplicates, durations; never a phone number."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import psycopg
import pytest

from contacts_schema.webhook import find_or_create
from tests.webhook.clients import WORKSPACE

# In a process of its own: the SDK can be set once in a process.
MEASURED = """
    import sys, psycopg
    from concurrent.futures import ThreadPoolExecutor
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    from contacts_schema.webhook import find_or_create
    from tests.migration.observed import eventually, value

    url, workspace = sys.argv[1:]
    waiting = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    with ThreadPoolExecutor(1) as threads, psycopg.connect(url) as winner, psycopg.connect(url) as loser:
        winner.execute("INSERT INTO contacts (workspace_id, phone) VALUES (%s, '+17770001')", (workspace,))
        racing = threads.submit(find_or_create, loser, workspace, "+17770001")
        eventually(lambda: value(url, waiting, loser.info.backend_pid), "our wait", unless=racing.done)
        winner.commit()
        racing.result(30)
        find_or_create(loser, workspace, "+17770002")
    for resource in reader.get_metrics_data().resource_metrics:
        for metric in resource.scope_metrics[0].metrics:
            for point in metric.data.data_points:
                count = getattr(point, "count", None) or point.value
                print(metric.name, metric.unit, dict(sorted(point.attributes.items())), count)
"""
SAID = [
    "contacts_schema.webhook.find_or_create.duration s {'created': False, 'table': 'public.contacts'} 1",
    "contacts_schema.webhook.find_or_create.duration s {'created': True, 'table': 'public.contacts'} 1",
    "contacts_schema.webhook.rejected_duplicates {duplicate} {'table': 'public.contacts'} 1",
]


def test_opentelemetry_counts_rejections_and_durations(in_phase):
    code = textwrap.dedent(MEASURED)
    done = subprocess.run(
        [sys.executable, "-c", code, in_phase("constraint"), WORKSPACE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == SAID


def test_without_opentelemetry_everything_goes_on(in_phase):
    code = """
import sys
sys.modules["opentelemetry"] = None
import psycopg
from contacts_schema.webhook import find_or_create
with psycopg.connect(sys.argv[1]) as connection:
    print(find_or_create(connection, sys.argv[2], "+17770001").created)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, in_phase("constraint"), WORKSPACE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_a_rejection_is_logged_with_the_workspace_and_without_the_phone(in_phase, caplog):
    url = in_phase("constraint")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO contacts (workspace_id, phone) VALUES (%s, '+17770001')", (WORKSPACE,))
        connection.execute(
            "CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.phone = '+17770001'; RETURN NEW; END $$"
        )
        connection.execute("CREATE TRIGGER hide BEFORE INSERT ON contacts FOR EACH ROW EXECUTE FUNCTION hide()")
    with psycopg.connect(url) as connection, caplog.at_level(logging.INFO, "contacts_schema.webhook"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            find_or_create(connection, WORKSPACE, "+17770002")
        connection.execute("SELECT 1")

    assert len(caplog.records) == 3
    assert {record.constraint for record in caplog.records} == {"unique_phone_workspace"}
    assert {record.workspace_id for record in caplog.records} == {WORKSPACE}
    assert "1777" not in caplog.text
