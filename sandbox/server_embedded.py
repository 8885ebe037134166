"""A throwaway server from PostgreSQL's binaries: no Docker, no installation, about a second to start."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from sandbox import memory, server_binaries, server_watch
from sandbox.ports import free_port
from sandbox.server_choice import Choice, ServerUnavailable

__all__ = ["choose", "start"]

START_SECONDS: Final = 60
STOP_SECONDS: Final = 60


def choose(environ: Mapping[str, str], *, reason: str = "it was asked for") -> Choice:
    """An embedded server, where its binaries are there. Raises ServerUnavailable."""
    try:
        binaries = server_binaries.find(environ)
    except ServerUnavailable as unavailable:
        msg = f"{unavailable}; no other way either: {reason}" if reason != "it was asked for" else str(unavailable)
        raise ServerUnavailable(msg) from unavailable
    return Choice(way="embedded", target=str(binaries), reason=reason)


@contextmanager
def start(binaries: str, settings: Mapping[str, str], *, in_memory: bool) -> Iterator[str]:
    """Run a server in a temporary folder, `in_memory` where there is room, for a `with`; give its superuser's URL.

    It listens on the loopback address alone, asks for a password, and stops when this process does, however
    that dies.
    """
    user = server_binaries.unprivileged()
    # The watcher removes the folder too: it outlives a killed client.
    place = memory.room() if in_memory else None
    with TemporaryDirectory(prefix="contacts_schema.", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _own(folder, user)
        programs = server_binaries.reachable(Path(binaries), user, folder)
        password = secrets.token_hex(16)
        _initdb(programs, folder, password, user)
        with _running(programs, folder, settings, user, password) as url:
            yield url


def _own(path: Path, user: pwd.struct_passwd | None) -> None:
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def _initdb(programs: Path, folder: Path, password: str, user: pwd.struct_passwd | None) -> None:
    secret = folder / "password"
    secret.write_text(password + "\n")
    _own(secret, user)
    command = [
        str(programs / "initdb"),
        "--no-sync",
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
    ]
    command += [f"--pgdata={folder / 'data'}", f"--pwfile={secret}"]
    identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    for locale in ("C.UTF-8", "C"):  # not every system has the first one
        done = subprocess.run(
            [*command, f"--locale={locale}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **identity,
        )
        if done.returncode == 0:
            secret.unlink()
            return
        shutil.rmtree(folder / "data", ignore_errors=True)
    msg = f"initdb failed: {done.stderr.strip()}"
    raise ServerUnavailable(msg)


@contextmanager
def _running(
    programs: Path, folder: Path, settings: Mapping[str, str], user: pwd.struct_passwd | None, password: str
) -> Iterator[str]:
    # Somebody else may take the free port between our look and the server's: then look again.
    attempts = Retrying(retry=retry_if_exception_type(ServerUnavailable), stop=stop_after_attempt(3), reraise=True)
    watcher, port = attempts(_launch, programs, folder, settings, user, password)
    try:
        yield _url(port, password)
    finally:
        _stop(watcher)


def _launch(
    programs: Path, folder: Path, settings: Mapping[str, str], user: pwd.struct_passwd | None, password: str
) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    place = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    options = [word for name, value in {**place, **settings}.items() for word in ("-c", f"{name}={value}")]
    command = [str(programs / "postgres"), "-D", str(folder / "data"), *options]
    watch = [sys.executable, "-I", server_watch.__file__, str(folder), user.pw_name if user else ""]
    watcher = subprocess.Popen([*watch, *command], stdin=subprocess.PIPE, start_new_session=True)
    try:
        _await(watcher, _url(port, password), folder)
    except BaseException:
        _stop(watcher)
        raise
    return watcher, port


def _await(watcher: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    """Return when the server answers. Raises ServerUnavailable, with the end of its log, when it does not."""
    late = stop_after_delay(START_SECONDS)

    def hopeless(state: RetryCallState) -> bool:
        return watcher.poll() is not None or late(state)

    answer = Retrying(
        retry=retry_if_exception_type(psycopg.OperationalError),
        wait=wait_fixed(0.02),
        stop=hopeless,
        reraise=True,
    )
    try:
        answer(lambda: psycopg.connect(url, connect_timeout=5).close())
    except psycopg.OperationalError as error:
        log = (folder / server_watch.LOG).read_text(errors="replace")
        msg = f"the embedded server does not start: {log[-2000:].strip()}"
        raise ServerUnavailable(msg) from error


def _stop(watcher: subprocess.Popen[bytes]) -> None:
    watcher.communicate(timeout=STOP_SECONDS)


def _url(port: int, password: str) -> str:
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
