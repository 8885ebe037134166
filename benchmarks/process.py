"""Runs a command, bounded in time, and watches its output and its memory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

__all__ = ["Finished", "run"]

WATCH_SECONDS: Final = 0.1
KIB_PER_MB: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command's end: exit code (None: it took too long), seconds, the most memory in MB, and what it said when."""

    exit_code: int | None
    seconds: float
    memory: float = 0.0
    lines: tuple[tuple[float, str], ...] = ()

    @property
    def output(self) -> str:
        """All that it said."""
        return "\n".join(line for _, line in self.lines)


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: float) -> Finished:
    """Run the command for at most `limit` seconds. Memory is 0 where there is no /proc."""
    started = time.monotonic()
    with (
        subprocess.Popen(
            command, cwd=cwd, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
        ThreadPoolExecutor(max_workers=1) as reader,
    ):
        assert process.stdout is not None
        lines = reader.submit(_read, process.stdout, started)
        peak = 0.0
        while not _ended(process) and time.monotonic() - started < limit:
            peak = max(peak, _memory(process.pid))
        exit_code, seconds = process.poll(), time.monotonic() - started
        if exit_code is None:
            process.kill()
        return Finished(exit_code=exit_code, seconds=seconds, memory=peak, lines=lines.result())


def _read(output: IO[str], started: float) -> tuple[tuple[float, str], ...]:
    return tuple((time.monotonic() - started, line.rstrip("\n")) for line in output)


def _ended(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(WATCH_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _memory(pid: int) -> float:
    """The most resident memory so far, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0
    sizes = dict(line.partition(":")[::2] for line in lines)
    return int(sizes.get("VmHWM", "0 kB").split()[0]) / KIB_PER_MB
