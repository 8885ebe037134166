"""One run struck by the fault that a seed chooses, run again until it succeeds, and looked at."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

import psycopg

from sandbox.writers import WriterReport, Writers
from tests.faults import checks
from tests.faults.datasets import SETTINGS
from tests.faults.limits import limited
from tests.faults.place import Place, Spot, State
from tests.faults.points import reached
from tests.faults.proxy import Proxy, through_proxy
from tests.faults.scenario import Scenario, scenario_of
from tests.faults.scene import DEADLINE, Claim, Run, Scene, running

AGAIN: Final = 3
PHONE: Final = re.compile(r"\+\d{4,}")


@dataclass(kw_only=True)
class Outcome:
    """What came of it: `struck` unless the run was over before, `succeeded` without help, `again` further runs."""

    scenario: Scenario
    struck: bool = False
    succeeded: bool = False
    again: int = 0
    seconds: float = 0.0
    said: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def survived(self) -> bool:
        return not self.problems


def outcome_of(seed: int, place: Place) -> Outcome:
    """Strike, run again, check. Raises MountForbidden."""
    outcome = Outcome(scenario=scenario_of(seed))
    scenario, started = outcome.scenario, time.monotonic()
    with place.spot(scenario.fault.where, scenario.dataset, scenario.direction) as spot:
        try:
            _observe(outcome, spot)
        except psycopg.Error as error:
            outcome.problems.append(f"striking or checking met {type(error).__name__}")
    outcome.seconds = time.monotonic() - started
    return outcome


def _observe(outcome: Outcome, spot: Spot) -> None:
    limits = limited(spot.url, outcome.scenario.limits)
    with limits as unlimited, Writers(unlimited, rate=60, races=5, threads=4) as writers:
        scene = _struck(outcome, spot, unlimited)
        _run_again(outcome, spot.url)
        report = writers.stop()
    outcome.problems += scene.problems
    _check(outcome, spot, scene, report)


@contextmanager
def _way_in(url: str, *, proxied: bool) -> Iterator[tuple[str, Proxy | None]]:
    if not proxied:
        yield url, None
        return
    with through_proxy(url) as way:
        yield way


def _struck(outcome: Outcome, spot: Spot, url: str) -> Scene:
    """Start the run, strike it at its point, and wait for its end."""
    scenario = outcome.scenario
    size = {"CONTACTS_SCHEMA_BATCH_SIZE": str(scenario.dataset.batch_size)}
    settings = {**SETTINGS, **size, **scenario.fault.settings}
    with (
        _way_in(spot.url, proxied=scenario.fault.proxied) as (way_in, proxy),
        running(way_in, scenario.direction, settings) as run,
    ):
        scene = Scene(
            url=url,
            database_url=spot.url,
            direction=scenario.direction,
            chance=Random(f"strike {scenario.seed}"),
            settings=settings,
            run=run,
            server=spot.server,
            proxy=proxy,
            limit=scenario.limits[0] if scenario.limits else None,
        )
        if reached(scenario.point, url, run.process):
            with scenario.fault.strike(scene):
                run.ended(scenario.fault.holds)
            outcome.struck = not scene.missed
        _note_end(outcome, run)
    return scene


def _note_end(outcome: Outcome, run: Run) -> None:
    if not run.ended(DEADLINE):
        outcome.problems.append(f"the run did not end within {DEADLINE:.0f} s")
    outcome.said, outcome.succeeded = run.output, run.process.returncode == 0
    outcome.problems += _told(run)
    if outcome.scenario.fault.rides_out and not outcome.succeeded:
        outcome.problems.append("the run should have ridden it out")


def _told(run: Run) -> Iterator[str]:
    """What no run may tell, however it ends."""
    said = run.output
    if "Traceback" in said:
        yield "a run ended with a traceback"
    if PHONE.search(said):
        yield "a run told a phone number"


def _run_again(outcome: Outcome, url: str) -> None:
    """Where the run failed: the same command, as whoever sees it fail would do."""
    done = outcome.succeeded
    while not done and outcome.again < AGAIN:
        outcome.again += 1
        with running(url, outcome.scenario.direction, SETTINGS) as run:
            done = run.succeeded()
            outcome.problems += _told(run)
            outcome.said += "" if done else f"\n--- run again ---\n{run.output}"
    if not done:
        outcome.problems.append(f"the command still failed when it was run again {AGAIN} times")


def _check(outcome: Outcome, spot: Spot, scene: Scene, report: WriterReport) -> None:
    scenario, url = outcome.scenario, spot.url
    told = {name: count for name, count in report.unexpected.items() if name not in scenario.fault.excuses}
    outcome.problems += [f"writers were told {told}"] if told else []
    outcome.problems += checks.lost_writes(url, report, scene)
    outcome.problems += _proved(scene.claims, url)
    outcome.problems += checks.left_over(url) + checks.dangling(url)
    if scenario.fault.comes_back:
        outcome.problems += checks.orphans(url)
    if scenario.direction == "upgrade":
        outcome.problems += checks.upgraded(url)
        _compare(outcome, spot, scene)
        if scenario.returns:
            _take_back(outcome, spot, scene, report)
    else:
        outcome.problems += checks.not_back(State.of(url), spot.filled.before, scene.made, scene.edited)
        outcome.problems += _proved(scene.claims_back, url)


def _proved(claims: Sequence[Claim], url: str) -> list[str]:
    return [line for claim in claims for line in claim(url)]


def _compare(outcome: Outcome, spot: Spot, scene: Scene) -> None:
    """With an undisturbed run's end."""
    found, expected = State.of(spot.url), spot.filled.upgraded
    outcome.problems += checks.stray(found, expected, scene.made)
    if outcome.scenario.fault.same_rows:
        outcome.problems += checks.changed_rows(found, expected, scene.edited)


def _take_back(outcome: Outcome, spot: Spot, scene: Scene, report: WriterReport) -> None:
    """Undo it, and compare with the beginning; what writers were told is done stays done."""
    url, problems = spot.url, []
    with running(url, "downgrade", SETTINGS) as run:
        problems += [] if run.succeeded() else [f"it failed: {run.output}"]
        problems += _told(run)
    problems += [*checks.lost_writes(url, report, scene), *checks.lost_contacts(url, report, scene)]
    problems += [*_proved(scene.claims_back, url), *checks.dangling(url), *checks.left_over(url)]
    if outcome.scenario.fault.comes_back:
        problems += checks.orphans(url)
        _tidy(url, scene.tidy)
        problems += checks.not_back(State.of(url), spot.filled.before, scene.made, scene.edited)
    outcome.problems += [f"after the way back: {line}" for line in problems]


def _tidy(url: str, statements: Sequence[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
