"""`python -m tests.faults --seeds 200` strikes so many runs and prints what came of them; 1 where one did not survive."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from sandbox.servers import choose
from tests.faults.outcome import Outcome, outcome_of
from tests.faults.place import Place, place
from tests.faults.report import failures, page, table
from tests.faults.scenario import scenario_of
from tests.faults.small_disk import MountForbidden


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike, print, and give 0 when every run survived and no fault was left out that root could have had."""
    asked = _parser().parse_args(arguments)
    seeds = asked.seed or list(range(asked.first, asked.first + asked.seeds))
    console = Console(width=None if sys.stdout.isatty() else 110)
    # It says aloud that a connection which we broke on purpose is broken.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    outcomes: list[Outcome] = []
    left_out: list[int] = []
    with place(choose(os.environ)) as here:
        for seed, outcome in _progress(here, seeds, asked.jobs, console):
            outcomes += [outcome] if outcome else []
            left_out += [] if outcome else [seed]
        version = here.version
    console.print(table(outcomes))
    for line in failures(outcomes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if left_out:
        console.print(f"LEFT OUT, no file system can be mounted here: {', '.join(str(scenario_of(s)) for s in left_out)}")
    if asked.markdown:
        asked.markdown.write_text(page(outcomes, version))
    forbidden = bool(left_out) and os.geteuid() == 0
    for name in (missed := _missed(outcomes)):
        console.print(f"NOT STRUCK AT ALL: {name}")
    return 1 if forbidden or missed or any(not outcome.survived for outcome in outcomes) else 0


def _missed(outcomes: Sequence[Outcome]) -> list[str]:
    """Faults that none of their runs met, though there were several: a point or a lock is no longer what it was."""
    tried = Counter(outcome.scenario.fault.name for outcome in outcomes)
    met = {outcome.scenario.fault.name for outcome in outcomes if outcome.struck}
    return sorted(name for name, runs in tried.items() if runs > 1 and name not in met)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=66, metavar="N", help="so many seeds, from --first on (%(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (%(default)s)")
    parser.add_argument("--seed", type=int, nargs="+", help="these alone")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at a time (%(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    return parser


def _progress(here: Place, seeds: Sequence[int], jobs: int, console: Console) -> Iterator[tuple[int, Outcome | None]]:
    """Each seed's outcome as it comes; None where the fault cannot be had on this machine."""
    with ThreadPoolExecutor(max_workers=jobs) as threads, Progress(console=console, transient=True) as bar:
        task = bar.add_task("striking", total=len(seeds))
        running = {threads.submit(_outcome, seed, here): seed for seed in seeds}
        for done in as_completed(running):
            bar.advance(task)
            yield running[done], done.result()


def _outcome(seed: int, here: Place) -> Outcome | None:
    try:
        return outcome_of(seed, here)
    except MountForbidden:
        return None


if __name__ == "__main__":
    sys.exit(main())
