"""A file system of a size of its own, to be filled and emptied."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

MEGABYTES: Final = 400
BLOCK: Final = 1 << 16


class MountForbidden(RuntimeError):
    """A file system cannot be mounted here: that takes root, and CAP_SYS_ADMIN."""


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder that is a file system of 400 MB. Raises MountForbidden."""
    with TemporaryDirectory(prefix="contacts_schema.") as name:
        command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=0711", "contacts_schema", name]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise MountForbidden(MountForbidden.__doc__) from error
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True, capture_output=True)


@contextmanager
def filled(folder: Path, *, free: int) -> Iterator[None]:
    """Take all room but about `free` bytes, for the length of the block."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file:
            while (room := os.statvfs(folder)).f_bavail * room.f_frsize > free + BLOCK:
                # The server may be faster; then there is less to take.
                with suppress(OSError):
                    size = room.f_bavail * room.f_frsize - free
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
        yield
    finally:
        ballast.unlink()
