from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from sandbox import server_binaries, servers
from sandbox.server_databases import database, filled_template, name_of

ROOT = Path(__file__).parents[2]
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
FORCED_IN_VAIN = "TEST_SERVER=container forces that way, but no Docker engine answers; provide it or unset TEST_SERVER"


def test_server_is_recent_and_described(postgres):
    with psycopg.connect(postgres.url) as connection:
        assert connection.info.server_version >= 150000
        version = connection.execute("SHOW server_version").fetchone()[0].split()[0]
    assert postgres.description.startswith(f"PostgreSQL {version}, ")


def test_description_shows_no_password(postgres):
    with psycopg.connect(postgres.url) as connection:
        password = connection.info.password
    assert not password or password not in postgres.description


def test_database_is_utf8_and_empty(database_url):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert connection.execute(tables).fetchone() == (0,)


def test_settings_that_other_tests_need(postgres):
    with psycopg.connect(postgres.url) as connection:
        prepared = connection.execute("SELECT current_setting('max_prepared_transactions')::int").fetchone()
    assert prepared[0] > 0


def test_clones_of_one_template_do_not_see_each_other(postgres, new_database):
    with filled_template(postgres.url, _one_table) as name:
        first, second = new_database(name), new_database(name)
        with psycopg.connect(first) as connection:
            connection.execute("DELETE FROM numbers")
        with psycopg.connect(second) as connection:
            assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (3,)


def test_database_goes_although_somebody_is_connected(postgres):
    with database(postgres.url) as url:
        connection = psycopg.connect(url)
    with psycopg.connect(postgres.url) as admin:
        found = admin.execute("SELECT FROM pg_database WHERE datname = %s", [name_of(url)]).fetchone()
    assert found is None
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_crm_is_filled(crm_url):
    with psycopg.connect(crm_url) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM contacts").fetchone() == (True,)


def test_forced_container_without_engine_fails_and_says_so(monkeypatch):
    _set(monkeypatch, NO_ENGINE)
    with pytest.raises(servers.ServerUnavailable) as failure:
        servers.choose({"TEST_SERVER": "container"})
    assert str(failure.value) == FORCED_IN_VAIN


def test_pytest_stops_where_the_forced_way_is_missing():
    environ = {**os.environ, **NO_ENGINE, "TEST_SERVER": "container"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", __file__]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.strip() == f"ERROR: {FORCED_IN_VAIN}"


def test_without_engine_an_embedded_server_is_chosen(monkeypatch):
    _set(monkeypatch, NO_ENGINE)
    choice = servers.choose({"PATH": os.environ["PATH"]})
    assert (choice.way, str(choice)) == ("embedded", "embedded, because no Docker engine answers")


def test_given_url_comes_first_and_is_not_shown():
    choice = servers.choose({"TEST_DATABASE_URL": "postgres://me:s%40cret@db.example/x"})
    assert choice.target == "postgresql://me:s%40cret@db.example/x"
    assert str(choice) == "given by URL, because TEST_DATABASE_URL is set"


def test_forced_url_without_url_fails():
    with pytest.raises(servers.ServerUnavailable, match="TEST_DATABASE_URL is not set"):
        servers.choose({"TEST_SERVER": "url"})


def test_unknown_way_lists_the_known_ones():
    with pytest.raises(servers.ServerUnavailable) as failure:
        servers.choose({"TEST_SERVER": "dokcer"})
    assert str(failure.value) == 'TEST_SERVER is "dokcer"; it may be container, embedded, url, or unset'


def test_wrong_folder_of_binaries_is_named(tmp_path):
    with pytest.raises(servers.ServerUnavailable, match="holds no initdb and postgres"):
        servers.choose({"TEST_SERVER": "embedded", "POSTGRES_BIN": str(tmp_path)})


def test_unreadable_binaries_are_copied_for_the_other_user(tmp_path):
    user = server_binaries.unprivileged()
    if user is None:
        pytest.skip("only root runs the server as somebody else")
    hidden = tmp_path / "hidden" / "lib" / "package" / "pginstall" / "bin"
    hidden.mkdir(parents=True)
    hidden.parents[3].chmod(0o700)
    (hidden / "postgres").symlink_to("/bin/true")
    copy = server_binaries.reachable(hidden, user, tmp_path)
    assert copy == tmp_path / "install" / "package" / "pginstall" / "bin"
    assert copy.stat().st_uid == user.pw_uid
    assert hidden.parents[3].stat().st_mode & 0o777 == 0o700


def test_embedded_server_keeps_what_is_asked_for():
    choice = servers.choose({**os.environ, "TEST_SERVER": "embedded"})
    with servers.server(choice, durable=True, options={"max_connections": "17"}) as server:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW max_connections").fetchone() == ("17",)
            assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
            folder = Path(connection.execute("SHOW data_directory").fetchone()[0]).parent
        assert server.description.endswith("embedded, because TEST_SERVER=embedded")
    assert not folder.exists()


def test_embedded_server_that_cannot_start_shows_its_log():
    choice = servers.choose({**os.environ, "TEST_SERVER": "embedded"})
    with (
        pytest.raises(servers.ServerUnavailable, match='unrecognized configuration parameter "no_such"'),
        servers.server(choice, options={"no_such": "1"}),
    ):
        pass


def test_embedded_server_ends_with_a_killed_client():
    code = (
        "import os, sys, time; from sandbox import servers\n"
        "with servers.server() as s: print(s.url, flush=True); time.sleep(600)"
    )
    environ = {**os.environ, "TEST_SERVER": "embedded"}
    with subprocess.Popen([sys.executable, "-c", code], env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
        url = client.stdout.readline().strip()
        with psycopg.connect(url) as connection:
            folder = Path(connection.execute("SHOW data_directory").fetchone()[0]).parent
        client.send_signal(signal.SIGKILL)
    _wait_until(lambda: not folder.exists())
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def _one_table(url):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT generate_series(1, 3) AS number")


def _set(monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def _wait_until(reached, seconds=20):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)
