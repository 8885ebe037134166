"""A sample of the runs that `python -m tests.faults` strikes: fixed seeds, every kind of fault, both directions."""

from __future__ import annotations

import os

import pytest

from sandbox.servers import choose
from tests.faults.faults import FAULTS
from tests.faults.outcome import outcome_of
from tests.faults.place import place
from tests.faults.report import failures
from tests.faults.scenario import scenario_of
from tests.faults.small_disk import MountForbidden

# Chosen for points in the midst of the work, where the order of the faults alone would give many at its ends.
SAMPLE = (22, 23, 68, 25, 26, 27, 28, 73, 74, 31, 186, 33, 56, 167, 14, 169, 82, 83, 40, 41, 174, 65, 45, 50, 53)


@pytest.fixture(scope="session")
def here(postgres):
    with place(choose(os.environ), given=postgres.url) as made:
        yield made


def test_the_sample_has_every_fault_and_both_directions():
    scenarios = [scenario_of(seed) for seed in SAMPLE]

    assert len(set(SAMPLE)) == 25
    assert {scenario.fault.name for scenario in scenarios} == {fault.name for fault in FAULTS}
    assert {scenario.direction for scenario in scenarios} == {"upgrade", "downgrade"}


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"{seed}: {scenario_of(seed)}") for seed in SAMPLE])
def test_a_struck_run_survives(here, seed):
    try:
        outcome = outcome_of(seed, here)
    except MountForbidden as forbidden:
        # Root can mount a file system, unless its container forbids it: then that is to be changed.
        assert os.geteuid() != 0, f"{forbidden}; give the container CAP_SYS_ADMIN"
        pytest.skip(f"FAULT LEFT OUT, disk full: {forbidden}")
    assert outcome.survived, "\n".join(failures([outcome]))
