"""A server of a fault's own, which it may stop dead and start again, on the file system that it is given."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox import server_binaries, server_watch
from sandbox.ports import free_port
from sandbox.servers import OPTIONS

START_SECONDS: Final = 60
# Nothing that was acknowledged may be lost, and little is kept beyond it: the file system may be small.
DURABLE: Final = {"fsync": "on", "full_page_writes": "on", "min_wal_size": "32MB", "max_wal_size": "64MB"}
PLACE: Final = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}


@contextmanager
def own_server(folder: Path, **settings: str) -> Iterator[OwnServer]:
    """A running server in `folder`, which may be small, and is emptied at the end. Raises ServerUnavailable."""
    # The binaries may have to be copied, and for them there may be no room in `folder`.
    with TemporaryDirectory(prefix="contacts_schema.", ignore_cleanup_errors=True) as beside:
        user = server_binaries.unprivileged()
        if user:
            os.chown(beside, user.pw_uid, user.pw_gid)
            os.chown(folder, user.pw_uid, user.pw_gid)
        programs = server_binaries.reachable(server_binaries.find(os.environ), user, Path(beside))
        server = OwnServer(programs, folder, {**OPTIONS, **DURABLE, **settings})
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.close()


class OwnServer:
    """One cluster in `folder`. It stops when this process does, however that dies."""

    def __init__(self, programs: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self._programs, self._settings = programs, settings
        self._password, self._port = secrets.token_hex(16), free_port()
        self._user = server_binaries.unprivileged()
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A superuser's way in."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/postgres"

    def create(self) -> None:
        """Make the cluster."""
        secret = self.folder / "password"
        secret.write_text(self._password + "\n")
        if self._user:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        # C.UTF-8 is not on every system.
        known = ("--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
        self._program("initdb", "--no-sync", *known, f"--pgdata={self._data}", f"--pwfile={secret}")
        secret.unlink()

    def start(self) -> None:
        """Start the server, where it is not running, and wait until it answers."""
        if not self.running:
            self._forget()
            options = {**PLACE, "port": str(self._port), **self._settings}
            words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
            watch = [sys.executable, "-I", server_watch.__file__, str(self.folder), self._user.pw_name if self._user else ""]
            command = [*watch, str(self._programs / "postgres"), "-D", self._data, *words]
            self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self._answer()

    def crash(self) -> None:
        """Stop it as a crash does: nothing is flushed, nobody is told."""
        self._program("pg_ctl", "stop", "--mode=immediate", f"--pgdata={self._data}")
        if self._watcher:
            self._watcher.wait(START_SECONDS)

    def close(self) -> None:
        """Stop it in good order and remove what is in the folder."""
        if self._watcher:
            self._watcher.communicate(timeout=START_SECONDS)

    def _forget(self) -> None:
        if self._watcher and self._watcher.stdin:
            self._watcher.stdin.close()

    @property
    def running(self) -> bool:
        """Whether there is a server process, which may be recovering."""
        return self._watcher is not None and self._watcher.poll() is None

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _answer(self) -> None:
        patient = Retrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            wait=wait_fixed(0.02),
            stop=stop_after_delay(START_SECONDS),
            reraise=True,
        )
        patient(lambda: psycopg.connect(self.url, connect_timeout=5).close())

    def _program(self, name: str, *arguments: str) -> None:
        user = self._user
        identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        command = [str(self._programs / name), *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=START_SECONDS, **identity)
