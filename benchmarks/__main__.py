"""`python -m benchmarks million` measures one upgrade of a million contacts under writers."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.million import WAYS, Measured, Settings, measure
from sandbox.servers import choose, server

DURABLE: Final = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and give 0 when every way that was asked for succeeded."""
    asked = _parser().parse_args(arguments)
    names = Settings.__dataclass_fields__
    settings = Settings(**{name: value for name, value in vars(asked).items() if name in names})
    with server(choose(os.environ | {"TEST_SERVER": asked.server}), durable=True, options=DURABLE) as running:
        machine = f"{running.description}; Python {platform.python_version()}, {os.cpu_count()} CPUs"
        _say(machine)
        found = measure(running.url, settings, asked.ways, _say)
    _print(settings, found)
    if asked.json:
        _write(asked.json, machine, settings, found)
    return 0 if all(measured.succeeded for measured in found) else 1


def _parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    million = parser.add_subparsers(required=True).add_parser(
        "million", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    million.add_argument("--contacts", type=int, default=usual.contacts, help="rows of the table")
    million.add_argument("--duplicates", type=float, default=usual.duplicates, help="share of them, below 0.5")
    million.add_argument("--messages", type=int, default=usual.messages, help="rows for each contact")
    million.add_argument("--lookup-index", action="store_true", help="the table has an index on the key already")
    million.add_argument("--rate", type=float, default=usual.rate, help="writes a second, races included")
    million.add_argument("--races", type=float, default=usual.races, help="racing pairs a second")
    million.add_argument("--calm", type=float, default=usual.calm, help="seconds of writers alone")
    million.add_argument("--limit", type=float, default=usual.limit, help="seconds an upgrade may take")
    million.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="what to measure")
    million.add_argument("--server", choices=["embedded", "container", "url"], default="embedded")
    million.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    return parser


def _print(settings: Settings, found: list[Measured]) -> None:
    title = f"{settings.contacts:,} contacts, {settings.duplicates:.0%} duplicates, {settings.messages} messages"
    load = f"{settings.rate:.0f} writes/s, {settings.races:.0f} races/s"
    table = Table(title=f"{title}; {load}", title_justify="left")
    table.add_column("")
    for measured in found:
        table.add_column(measured.way, justify="right")
    for cells in zip(*(_cells(measured) for measured in found), strict=True):
        table.add_row(cells[0][0], *(value for _, value in cells))
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    for measured in found:
        for line in measured.lost[:20]:
            print(f"{measured.way}: lost: {line}")
        if measured.exit_code != 0:
            print(f"{measured.way}: the end of its output:\n{measured.output[-4000:]}")


def _cells(measured: Measured) -> list[tuple[str, str]]:
    calm, during = measured.calm, measured.during
    return [
        ("exit code", "over the limit" if measured.exit_code is None else str(measured.exit_code)),
        ("seconds", f"{measured.seconds:.1f}"),
        ("longest wait of a writer", _milliseconds(during.longest)),
        ("... due at second", f"{measured.longest_at:.1f}"),
        ("p99 wait", _milliseconds(during.p99)),
        ("longest, one write alone", _milliseconds(during.longest_service)),
        ("longest wait before (calm)", _milliseconds(calm.longest)),
        ("p99 wait before (calm)", _milliseconds(calm.p99)),
        ("duplicate groups left", str(measured.duplicate_groups)),
        ("constraint valid", "yes" if measured.constraint_valid else "no"),
        ("acknowledged writes", f"{measured.acknowledged:,}"),
        ("of these lost", str(len(measured.lost))),
        ("rejected with 23505", _counts(measured.rejections)),
        ("other errors", _counts(measured.unexpected)),
        ("merged away, written again", _counts(measured.retries)),
        ("client memory, peak / median", _memory(measured)),
    ]


def _memory(measured: Measured) -> str:
    if not measured.memory_peak:
        return "not measured"
    return f"{measured.memory_peak:.0f} / {measured.memory_median:.0f} MB"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())) or "none"


def _write(path: Path, machine: str, settings: Settings, found: list[Measured]) -> None:
    results = [asdict(measured) | {"succeeded": measured.succeeded} for measured in found]
    path.write_text(json.dumps({"machine": machine, "settings": asdict(settings), "results": results}, indent=2))


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
