"""docs/benchmarks.md: the figures, case by case, and what was measured how."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from math import nan
from pathlib import Path
from statistics import median

from benchmarks.cases import Case
from benchmarks.measure import CALM_SECONDS, Measured
from benchmarks.ways import FLOOR, OURS, REFERENCE, SAID

__all__ = ["machine", "page", "rows"]

HEAD = (
    "way", "ended", "seconds", f"times {REFERENCE}", "longest wait", "99 % of waits", "calm: longest, 99 %",
    "WAL", "temp files", "client memory",
)  # fmt: skip

GLANCE = (
    "contacts", "writers", f"seconds, {REFERENCE}", f"seconds, {OURS}", "times",
    f"longest wait, {REFERENCE}", f"longest wait, {OURS}", f"longest wait, {FLOOR}",
)  # fmt: skip


def page(measured: Sequence[Measured], server: str, command: str, picture: tuple[str, Case] | None) -> str:
    """The whole page, made from runs of one machine."""
    parts = [
        "# Benchmarks",
        f"Made by `{command}`: do not edit.",
        f"Measured on {machine()}; {server}.",
        "Each way ran on a fresh copy of the same data, one after the other in turns, each as the command that a pipeline\n"
        "would run, its start included. Where a way ran several times the table shows medians, in brackets the least\n"
        "and the most seconds, and of the longest waits the longest. A wait is counted from the moment that a write was\n"
        "due, so a writer that is held up makes its next writes late, too. The writers are webhook-like (find or create a\n"
        "contact, add a message, rename), and\n"
        "of 200 writes a second 20 are racing pairs; calm are the "
        f"{CALM_SECONDS - 1:.0f} seconds before the start. WAL holds\n"
        "the writers' share. A writer that gets 23503 looks its contact up again; for our way, which leads such rows to\n"
        "the survivor, they are counted until its last step. The floor's writers are watched for as long as ours: what an\n"
        "index build has written, the system brings to the disk half a minute later, and commits wait meanwhile.",
        "\n".join(f"- **{way}**: {said}" for way, said in SAID.items()),
    ]
    if picture:
        parts += [f"## Waits over time\n\n{picture[1]}\n\n![waits of writers over time]({picture[0]})"]
    cases = [(case, list(same)) for case, same in groupby(measured, key=lambda m: m.case)]
    parts += ["## At a glance", _table(GLANCE, [_at_a_glance(case, same) for case, same in cases])]
    for case, same in cases:
        parts += [f"## {case}", _table(HEAD, rows(same))]
    return "\n\n".join(parts) + "\n"


def rows(same: Sequence[Measured]) -> list[tuple[str, ...]]:
    """One row a way, for the runs of one case."""
    by_way = {way: [m for m in same if m.way == way] for way in dict.fromkeys(m.way for m in same)}
    reference = [m.seconds for m in by_way.get(REFERENCE, []) if m.unique]
    return [_row(way, runs, median(reference) if reference else None) for way, runs in by_way.items()]


def _at_a_glance(case: Case, same: Sequence[Measured]) -> tuple[str, ...]:
    def runs(way: str) -> list[Measured]:
        return [m for m in same if m.way == way]

    def seconds(way: str) -> float:
        return median(m.seconds for m in runs(way)) if runs(way) else nan

    return (
        f"{case.data.contacts:,}, {case.data.duplicates:.1%} duplicates",
        f"{case.rate:.0f}/s" if case.rate else "none",
        f"{seconds(REFERENCE):.1f}",
        f"{seconds(OURS):.1f}",
        f"{seconds(OURS) / seconds(REFERENCE):.2f}",
        *(_milliseconds((m.during.longest for m in runs(way) if m.during), of=max) for way in (REFERENCE, OURS, FLOOR)),
    )


def _row(way: str, runs: Sequence[Measured], reference: float | None) -> tuple[str, ...]:
    seconds = [m.seconds for m in runs]
    spread = f" ({min(seconds):.1f} to {max(seconds):.1f})" if len(runs) > 1 else ""
    compared = reference and way != FLOOR and all(m.unique for m in runs)
    return (
        f"**{way}**" if way == OURS else way,
        _ended(way, runs),
        f"{median(seconds):.1f}{spread}",
        f"{median(seconds) / reference:.2f}" if reference and compared else "",
        _milliseconds((m.during.longest for m in runs if m.during), of=max),
        _milliseconds(m.during.p99 for m in runs if m.during),
        ", ".join(
            filter(None, (
                _milliseconds((m.calm.longest for m in runs if m.calm), of=max),
                _milliseconds(m.calm.p99 for m in runs if m.calm),
            ))
        ),
        _megabytes(m.wal for m in runs),
        _megabytes(m.temp for m in runs),
        _megabytes(m.memory for m in runs if m.memory),
    )  # fmt: skip


def _ended(way: str, runs: Sequence[Measured]) -> str:
    if way == FLOOR:
        return "no constraint"
    unique = sum(m.unique for m in runs)
    said = (
        "unique"
        if unique == len(runs)
        else "**failed**"
        if not unique
        else f"**failed {len(runs) - unique} of {len(runs)}**"
    )
    lost, errors = sum(len(m.lost) for m in runs), sum(sum(m.errors.values()) for m in runs)
    away = sum(m.merged_away.get("23503", 0) for m in runs)
    more = [f"{lost} writes lost"] * bool(lost) + [f"{errors} errors at writers"] * bool(errors)
    more += [f"{away} x 23503 at writers"] * bool(away)
    return ", ".join([said, *more])


def machine() -> str:
    """Processors, memory, system; no names."""
    cpus = f"{os.cpu_count()} CPUs ({_first('/proc/cpuinfo', 'model name') or platform.machine()})"
    memory = int((_first("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20
    return f"{cpus}, {memory:.0f} GiB of memory, {platform.system()}, Python {platform.python_version()}"


def _first(path: str, field: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except FileNotFoundError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), None)


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _milliseconds(seconds: Iterable[float], of: Callable[[list[float]], float] = median) -> str:
    known = list(seconds)
    return f"{of(known) * 1000:,.0f} ms" if known else ""


def _megabytes(sizes: Iterable[float]) -> str:
    known = list(sizes)
    return f"{median(known):,.0f} MB" if known else ""
