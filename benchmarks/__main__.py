"""Compares the ways to the constraint: time, waits of writers, log, memory. `make bench ARGS=...` passes arguments on."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.cases import Case, cases
from benchmarks.chart import chart
from benchmarks.measure import Measured, measure
from benchmarks.page import HEAD, page, rows
from benchmarks.ways import OURS, WAYS
from sandbox.servers import choose, server

DURABLE: Final = {"max_wal_size": "8GB"}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and give 0 when our way kept its promise in every case."""
    asked = _parser().parse_args(arguments)
    wanted = list(cases(asked.contacts, asked.duplicates, asked.messages, asked.rate, asked.races))
    found: list[Measured] = []
    options = {**DURABLE, "shared_buffers": asked.shared_buffers}
    with server(choose(os.environ | {"TEST_SERVER": asked.server}), durable=True, options=options) as running:
        description = f"{running.description}; shared_buffers {_shared_buffers(running.url)}"
        say(description)
        for measured in measure(running.url, wanted, asked.ways, repeat=asked.repeat, limit=asked.limit, say=say):
            found.append(measured)
            _complain(measured)
    for case, same in groupby(found, key=lambda m: m.case):
        _print(case, list(same))
    if asked.markdown:
        _write(asked.markdown, found, description, arguments or sys.argv[1:])
    return 0 if all(m.as_promised for m in found if m.way == OURS) else 1


def say(line: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--contacts", type=int, nargs="+", default=[1_000_000], help="rows of the table")
    parser.add_argument("--duplicates", type=float, nargs="+", default=[0.05], help="share of them, below 0.5")
    parser.add_argument("--messages", type=int, default=2, help="rows for each contact")
    parser.add_argument("--rate", type=float, nargs="+", default=[200.0], help="writes a second, races included; 0 for none")
    parser.add_argument("--races", type=float, default=10.0, help="racing pairs a second")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="what to compare", metavar="WAY")
    parser.add_argument("--repeat", type=int, default=1, help="times that each way is taken, in turns")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that a way may take")
    parser.add_argument(
        "--shared-buffers", default=_quarter(), help="the server's own cache; by default a quarter of the memory"
    )
    parser.add_argument("--server", choices=["embedded", "container", "url"], default="embedded")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the page, and a picture beside it")
    return parser


def _shared_buffers(url: str) -> str:
    with psycopg.connect(url) as connection:
        ((size,),) = connection.execute("SHOW shared_buffers").fetchall()
    return str(size)


def _quarter() -> str:
    """What PostgreSQL's documentation recommends to begin with, of this machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{memory // 4 // 2**20}MB"


def _complain(measured: Measured) -> None:
    for line in measured.lost[:20]:
        say(f"lost: {line}")
    if measured.errors:
        say(f"errors at writers: {measured.errors}")
    if measured.way == OURS and measured.exit_code != 0:
        say("\n".join(line for _, line in measured.lines[-40:]))


def _print(case: Case, same: list[Measured]) -> None:
    table = Table(*HEAD, title=str(case), title_justify="left")
    for row in rows(same):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _write(path: Path, found: Sequence[Measured], description: str, arguments: Sequence[str]) -> None:
    shown = max((m.case for m in found if m.picture), default=None)
    picture = None
    if shown is not None:
        last = {m.way: m for m in found if m.case == shown}
        path.with_suffix(".svg").write_text(chart(list(last.values())), encoding="utf-8")
        picture = (path.with_suffix(".svg").name, shown)
    command = f"python -m benchmarks {shlex.join(arguments)}"
    path.write_text(page(found, description, command, picture), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
