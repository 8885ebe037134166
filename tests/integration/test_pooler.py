"""Behind PgBouncer: a transaction pooler is refused before anything is set, a session pooler will do.

PgBouncer comes with the system, not with pip; where there is none these tests are skipped. CI installs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox.alembic_command import ROOT, command, environment
from sandbox.ports import free_port
from sandbox.trial import CONTACTS, query, reasons, run

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

Pooled = Callable[..., str]


@pytest.fixture
def pooled() -> Iterator[Pooled]:
    """Gives the way to a database through a pooler of a mode: `pooled(url, "transaction")`."""
    with ExitStack() as poolers:
        yield lambda url, mode, more="": poolers.enter_context(pooler(url, mode, more))


@contextmanager
def pooler(url: str, mode: str, more: str) -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "pgbouncer.ini"
        configuration.write_text(settings(url, mode, port, more))
        user = account(directory, configuration)
        with subprocess.Popen([str(PROGRAM), "-q", str(configuration)], user=user, stderr=subprocess.DEVNULL) as process:
            try:
                way = make_url(url).set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
                answers(way)
                yield way
            finally:
                process.terminate()


def settings(url: str, mode: str, port: int, more: str) -> str:
    to = make_url(url)
    there = f"host={to.host} port={to.port} dbname={to.database} user={to.username} password={to.password}"
    return (
        f"[databases]\n{to.database} = {there}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n{more}\nignore_startup_parameters = extra_float_digits\n"
    )


def account(directory: str, configuration: Path) -> str | None:
    """PgBouncer does not run as root."""
    if os.geteuid() != 0:
        return None
    for path in (directory, configuration):
        shutil.chown(path, "nobody")
    return "nobody"


@retry(
    retry=retry_if_exception_type(psycopg.OperationalError), stop=stop_after_delay(10), wait=wait_fixed(0.05), reraise=True
)
def answers(url: str) -> None:
    psycopg.connect(url).close()


@pytest.mark.parametrize("size", [1, 2, 20])
def test_a_transaction_pooler_is_refused(database_url, pooled, size):
    """However few servers it has: two clients of a pool of one wait for each other as soon as both want something."""
    run(database_url, CONTACTS)
    way = pooled(database_url, "transaction", f"default_pool_size = {size}\nquery_wait_timeout = 5")

    (reason,) = reasons(database_url, way)

    assert reason.code == "transaction_pooler"
    assert reason.problem == (
        "the connection goes through a transaction pooler: session settings and locks would reach other clients"
    )
    assert reason.way_on == "use a direct connection or session pooling (on Supabase port 5432 instead of 6543)"


def test_nothing_leaks_to_the_next_client(database_url, pooled):
    run(database_url, CONTACTS)
    way = pooled(database_url, "transaction")

    reasons(database_url, way)

    assert query(way, "SELECT current_setting('row_security'), current_setting('lock_timeout')") == [("on", "0")]
    assert query(database_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.parametrize("arguments", [("upgrade", "head"), ("current",)])
def test_alembic_leaves_nothing_behind_either(database_url, pooled, arguments):
    """Its own connection sets a search path, lifts limits and holds the turn: all of that would stay with the pooler's."""
    run(database_url, CONTACTS)
    way = pooled(database_url, "transaction", "default_pool_size = 2")

    done = subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(way), capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "transaction pooler" in done.stderr
    for _ in range(4):
        assert query(way, "SELECT current_setting('search_path'), current_setting('statement_timeout')") == [
            ('"$user", public', "0")
        ]
    assert query(database_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    assert query(database_url, "SELECT to_regclass('alembic_version'), to_regnamespace('contacts_schema')") == [(None, None)]


def test_the_plan_says_so_too_and_leaves_nothing_behind(database_url, pooled):
    run(database_url, CONTACTS)
    way = pooled(database_url, "transaction", "default_pool_size = 2")
    plan = [sys.executable, "-c", "from contacts_schema.cli import main; main()", "plan", "--json"]

    done = subprocess.run(plan, cwd=ROOT, env=environment(way), capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert [reason["code"] for reason in json.loads(done.stdout)["reasons"]] == ["transaction_pooler"]
    for _ in range(4):
        assert query(way, "SELECT current_setting('search_path'), current_setting('row_security')") == [
            ('"$user", public', "on")
        ]


def test_a_session_pooler_will_do(database_url, pooled):
    run(database_url, CONTACTS)

    assert reasons(database_url, pooled(database_url, "session")) == ()
    assert query(database_url, "SELECT count(*) FROM contacts") == [(7,)]
