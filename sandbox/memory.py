"""Room in memory for servers that may lose everything: on a disk, a database's files cost more than the work with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["ONE_SERVER", "for_everybody", "room"]

SHARED: Final = Path("/dev/shm")  # noqa: S108  # not for its name: for what it is
ONE_SERVER: Final = 512 << 20
"""Bytes that one server may come to: its databases, and 256 MB of log."""


def room() -> Path | None:
    """A folder in memory that programs can be started in; None where there is none, or too little, or TEST_MEMORY=no."""
    try:
        system = os.statvfs(SHARED)
        free = min(system.f_bavail * system.f_frsize, *_limits())
    except OSError:
        return None
    usable = not system.f_flag & os.ST_NOEXEC and os.access(SHARED, os.W_OK)
    return SHARED if usable and for_everybody(free) else None


def for_everybody(free: int) -> bool:
    """Whether so many bytes are enough for the servers of all test processes, and as much again; no by TEST_MEMORY=no."""
    wanted = os.environ.get("TEST_MEMORY", "yes") != "no"
    return wanted and free >= 2 * ONE_SERVER * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def _limits() -> Iterator[int]:
    """What the system could give without taking it from others, and what this control group may still take."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    yield next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), 0)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # there is no such file, or it says "max"
        yield int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
