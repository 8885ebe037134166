"""What is said of many runs: a table on the terminal, the same as a page, and how to have a failure again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from tests.faults.faults import FAULTS
from tests.faults.outcome import Outcome

COLUMNS: Final = ("runs", "struck", "of these in a downgrade", "went on by itself", "run again, at most", "survived")
PAGE: Final = """\
# Faults

Real `alembic upgrade head` and `alembic downgrade base`, as processes, under writers that race each other to make
duplicates. Each run is struck by one fault at a point that a seed chooses from what the catalog shows: the guard is up, so
many batches are merged, the unique index enforces but is not valid yet. Then the same command is run again until it
succeeds, three times at most. A run has *survived* if after that

- there are no duplicates and the constraint is valid (after a downgrade: every row is as it was before the upgrade, bit
  for bit),
- no write that was acknowledged to a writer is lost, and writers were told nothing but 23505 for a duplicate,
- the rows of before are those of an undisturbed run, no foreign key dangles, no declared reference is an orphan,
- no trigger, function, index, table of claims, session or lock of ours is left,
- for half of the upgrades: `alembic downgrade base` then brings everything back, and what writers added is there still.

*Struck* runs were not over when their point was seen, and there was something to strike. *Went on by itself* are runs
that succeeded in spite of the fault; *run again* is how often the command was needed after that, in the worst case. A run
that waits for a lock without end, ends with a traceback or tells a phone number has not survived.

```
{command}
```

makes this page, on PostgreSQL {version}. One run again: `python -m tests.faults --seed N`.

{table}

{faults}
"""


def rows(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    """A line for each fault that was tried, and one for all."""
    for fault in FAULTS:
        chosen = [outcome for outcome in outcomes if outcome.scenario.fault is fault]
        if chosen:
            yield fault.name, *_counts(chosen)
    yield "all", *_counts(outcomes)


def _counts(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    struck = [outcome for outcome in outcomes if outcome.struck]
    counts = (
        len(outcomes),
        len(struck),
        sum(outcome.scenario.direction == "downgrade" for outcome in struck),
        sum(outcome.succeeded for outcome in struck),
        max((outcome.again for outcome in outcomes), default=0),
        sum(outcome.survived for outcome in outcomes),
    )
    return tuple(str(count) for count in counts)


def table(outcomes: Sequence[Outcome]) -> Table:
    """For the terminal."""
    made = Table()
    made.add_column("fault")
    for name in COLUMNS:
        made.add_column(name, justify="right")
    for cells in rows(outcomes):
        made.add_row(*cells, end_section=cells[0] == FAULTS[-1].name)
    return made


def failures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Each run that did not survive: what is wrong, what it said, and the command that has it again."""
    for outcome in sorted(outcomes, key=lambda outcome: outcome.scenario.seed):
        if not outcome.survived:
            yield f"\nseed {outcome.scenario.seed}: {outcome.scenario}"
            yield from (f"  {problem}" for problem in outcome.problems)
            yield from (f"    | {line}" for line in outcome.said.strip().splitlines()[-12:])
            yield f"  again: python -m tests.faults --seed {outcome.scenario.seed}"


def page(outcomes: Sequence[Outcome], version: str) -> str:
    """For the documentation."""
    lines = [("fault", *COLUMNS), ("---", *("---:" for _ in COLUMNS)), *rows(outcomes)]
    return PAGE.format(
        command=f"make faults SEEDS={len(outcomes)} ARGS='--markdown docs/faults.md'",
        version=version,
        table="\n".join(f"| {' | '.join(cells)} |" for cells in lines),
        faults="\n".join(f"- **{fault.name}**: {fault.words}" for fault in FAULTS),
    )
