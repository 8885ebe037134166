"""`python -m benchmarks.webhook`: what callers of the example service notice of an upgrade, a rollback, and an upgrade."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from sandbox.alembic_command import ROOT, command, environment
from sandbox.http_load import Load, fill, loaded, served, wrong
from sandbox.server_databases import database
from sandbox.servers import choose, server

STEPS = {"upgrade": "head", "downgrade": "base", "upgrade again": "head"}


def main() -> int:
    """Measure, print, and give 0 when no request failed and nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhook", description=__doc__)
    parser.add_argument("--contacts", type=int, default=50_000, help="phones; every tenth has a duplicate (50000)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (200)")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two steps (5)")
    asked = parser.parse_args()
    with server(choose(os.environ | {"TEST_SERVER": "embedded"}), durable=True) as running, database(running.url) as url:
        fill(url, asked.contacts)
        with served(url) as address, loaded(address, asked.contacts, asked.rate) as load:
            _go_through(url, load, asked.seconds)
        faults = wrong(url, load)
    _print(load)
    print("\n".join(faults) or f"{len(load.answers):,} requests, {dict(load.statuses())}; nothing lost, one contact a phone")
    return 1 if faults or set(load.statuses()) != {200} else 0


def _go_through(url: str, load: Load, seconds: float) -> None:
    for step, target in STEPS.items():
        time.sleep(seconds)
        load.phase = step
        subprocess.run(
            command(step.split()[0], target), cwd=ROOT, env=environment(url), check=True, stderr=subprocess.DEVNULL
        )
        load.phase = f"after the {step}"
    time.sleep(seconds)


def _print(load: Load) -> None:
    table = Table("phase", "requests", "failed", "median", "longest")
    for row in load.summaries():
        times = (f"{1000 * row.median:.0f} ms", f"{1000 * row.longest:.0f} ms")
        table.add_row(row.phase, f"{row.requests:,}", str(row.failed), *times)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
