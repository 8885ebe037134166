"""Room in memory for servers that may lose everything: on a disk, a database's files cost more than the work with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["for_everybody", "room"]

SHARED: Final = Path("/dev/shm")  # noqa: S108  # not for its name: for what it is
ONE_SERVER: Final = 512 << 20
"""Bytes that one server may come to: its databases, and 256 MB of log."""


def room() -> Path | None:
    """A folder in memory that programs can be started in; None where this machine has none, or too little of it."""
    try:
        system = os.statvfs(SHARED)
    except OSError:
        return None
    free = min(system.f_bavail * system.f_frsize, _available())
    usable = not system.f_flag & os.ST_NOEXEC and os.access(SHARED, os.W_OK)
    return SHARED if usable and for_everybody(free) else None


def for_everybody(free: int) -> bool:
    """Whether so many bytes are enough for the servers of all test processes, and as much again."""
    return free >= 2 * ONE_SERVER * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def _available() -> int:
    """What the system could give to programs without taking it from others."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
