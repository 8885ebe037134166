"""A live CRM with duplicate contacts: upgraded under its writers, rolled back, and compared row by row."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

from demo import looks, show
from demo.show import Proof
from sandbox import crm
from sandbox.alembic_command import ROOT, command, environment
from sandbox.proofs import check, constraint_is_valid, duplicate_groups
from sandbox.server_databases import database
from sandbox.servers import choose, server
from sandbox.snapshot import Snapshot, difference, row_count, snapshot, without_new_rows
from sandbox.structure import structure
from sandbox.writers import CONSTRAINT, WriterReport, Writers

CONTACTS: Final = 1000
RATE: Final = 100
RACES: Final = 5
CALM_SECONDS: Final = 3.0
LIMIT_SECONDS: Final = 120


@dataclass(frozen=True, kw_only=True)
class Upgraded:
    """What came of the upgrade: its exit code, what the writers saw, and when it ran (time.monotonic())."""

    exit_code: int
    report: WriterReport
    began: float
    ended: float


def main() -> int:
    """Give 0 when everything was proved."""
    show.heading("Starting a throwaway PostgreSQL with a small CRM in it")
    with server(choose(os.environ | {"TEST_SERVER": "embedded"})) as running, database(running.url) as url:
        crm.load(url, CONTACTS)
        show.say(f"{running.description.split(',')[0]}, loopback only, gone when this ends.")
        found = _demonstrate(url)
    failed = sum(1 for proof in found if proof.wrong)
    show.heading(f"{failed} of {len(found)} proofs FAILED" if failed else f"All {len(found)} proofs hold.")
    return 1 if failed else 0


def _demonstrate(url: str) -> list[Proof]:
    key, rows, objects = looks.group_key(url), snapshot(url), structure(url)
    before = looks.cases(url, key)
    _show_before(url, key, row_count(rows))
    upgraded = _upgrade(url)
    if upgraded.exit_code != 0:
        return [Proof(words="the upgrade ends with exit code 0", wrong=[f"it was {upgraded.exit_code}"])]
    show.heading("After: the same person is one contact, and everything hangs on it")
    show.group(looks.group(url, key))
    after = looks.cases(url, key)
    show.cases(before, after)
    _show_waits(upgraded)
    found = _upgrade_proofs(url, upgraded.report, after)
    show.proofs(found)
    back = _downgrade(url, upgraded.report, rows, objects)
    show.say("\nThe contacts of that person again:")
    show.group(looks.group(url, key))
    show.proofs(back)
    return found + back


def _show_before(url: str, key: looks.Key, rows: int) -> None:
    now = looks.numbers(url)
    show.say(
        f"{rows:,} rows in all: {now.contacts:,} contacts, {now.messages:,} messages ...\n"
        f"{now.duplicate_groups} phones have several contacts in one workspace."
    )
    show.heading("Before: one person is several contacts, and what belongs together is scattered")
    show.group(looks.group(url, key))


def _upgrade(url: str) -> Upgraded:
    show.heading("Upgrading while webhooks go on writing")
    show.say(
        f"{RATE} writes a second: contacts found or created by phone, messages, changes. {RACES} times\n"
        "a second two webhooks create the same new contact at the same moment: new duplicates, all the time."
    )
    with Writers(url, rate=RATE, races=RACES) as writers:
        time.sleep(CALM_SECONDS)
        began = time.monotonic()
        exit_code = _alembic(url, "upgrade", "head")
        ended = time.monotonic()
        time.sleep(CALM_SECONDS / 2)
        return Upgraded(exit_code=exit_code, report=writers.stop(), began=began, ended=ended)


def _show_waits(upgraded: Upgraded) -> None:
    report = upgraded.report
    show.heading("What the writers noticed")
    show.waits(
        {
            "before the upgrade": report.waits(until=upgraded.began),
            "during the upgrade": report.waits(upgraded.began, upgraded.ended),
            "after it": report.waits(since=upgraded.ended),
        }
    )


def _upgrade_proofs(url: str, report: WriterReport, after: list[looks.Case]) -> list[Proof]:
    groups, races = duplicate_groups(url), report.rejections.get(("23505", CONSTRAINT), 0)
    answers = [case.rejected_by for case in after]
    return [
        Proof(words="no duplicate is left", wrong=[f"{groups} groups"] if groups else []),
        Proof(words="the constraint is in force", wrong=[] if constraint_is_valid(url) else ["it is not"]),
        Proof(
            words="the three cases: rejected, accepted, accepted",
            wrong=[] if answers == [CONSTRAINT, None, None] else [str(answers)],
        ),
        Proof(
            words=f"none of {len(report.contacts) + len(report.messages):,} acknowledged new rows was lost",
            wrong=check(url, report),
        ),
        Proof(
            words=f"writers got no error but {races} rejected duplicates (23505, {CONSTRAINT})",
            wrong=[f"{count} x {name}" for name, count in report.unexpected.items()],
        ),
    ]


def _downgrade(url: str, report: WriterReport, rows: Snapshot, objects: frozenset[str]) -> list[Proof]:
    show.heading("Rolling back")
    if exit_code := _alembic(url, "downgrade", "base"):
        return [Proof(words="the downgrade ends with exit code 0", wrong=[f"it was {exit_code}"])]
    now = snapshot(url)
    added = row_count(now) - row_count(rows)
    return [
        Proof(
            words=f"all {row_count(rows):,} rows from before are back, equal in every column",
            wrong=difference(rows, without_new_rows(rows, now)),
        ),
        Proof(
            words="tables, indexes, constraints, triggers and rights are as they were",
            wrong=sorted(objects ^ structure(url)),
        ),
        Proof(words=f"the {added:,} rows written meanwhile are still there", wrong=check(url, report)),
    ]


def _alembic(url: str, *arguments: str) -> int:
    show.say(f"\n$ alembic {' '.join(arguments)}")
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(url, **crm.SETTINGS),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
