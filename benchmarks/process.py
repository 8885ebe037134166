"""Runs a command, bounded in time, and watches its memory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

__all__ = ["Finished", "run"]

WATCH_SECONDS: Final = 0.1
KIB_PER_MB: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command's end: exit code (None: it took too long), output, seconds, and resident memory in MB."""

    exit_code: int | None
    output: str
    seconds: float
    memory_peak: float
    memory_median: float


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: float) -> Finished:
    """Run the command for at most `limit` seconds. Memory is 0 where there is no /proc."""
    started = time.monotonic()
    with TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        resident, peak = [0.0], 0.0
        while not _ended(process) and time.monotonic() - started < limit:
            now, high = _memory(process.pid)
            resident, peak = [*resident, now], max(peak, high)
        exit_code = process.poll()
        seconds = time.monotonic() - started
        if exit_code is None:
            process.kill()
            process.wait()
        output.seek(0)
        text = output.read()
    median = sorted(resident)[len(resident) // 2]
    return Finished(exit_code=exit_code, output=text, seconds=seconds, memory_peak=peak, memory_median=median)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(WATCH_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _memory(pid: int) -> tuple[float, float]:
    """Resident memory now and at its highest, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0, 0.0
    sizes = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return tuple(int(sizes.get(name, "0 kB").split()[0]) / KIB_PER_MB for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]  # two names, two sizes
