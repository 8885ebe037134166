"""What a seed stands for: a fault, the database and the direction of the run that it strikes, and where."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.datasets import CRM, TABLE, Dataset
from tests.faults.faults import FAULTS, Fault
from tests.faults.points import Direction, Point, point_of

WAYS_BACK: Final = 0.3
"""The share of downgrades, where a fault can strike one."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a seed stands for."""

    seed: int
    fault: Fault
    dataset: Dataset
    direction: Direction
    point: Point
    returns: bool
    limits: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.fault.name}, {self.direction}, {self.point.name}, {self.dataset.name}"


def scenario_of(seed: int) -> Scenario:
    """The same one for the same seed; successive seeds go through the faults."""
    fault, chance = FAULTS[seed % len(FAULTS)], Random(f"fault {seed}")
    dataset = chance.choice([TABLE, TABLE, CRM])
    direction: Direction = "downgrade" if fault.way_back and chance.random() < WAYS_BACK else "upgrade"
    name = chance.choice(sorted(fault.limits)) if fault.limits else None
    return Scenario(
        seed=seed,
        fault=fault,
        dataset=dataset,
        direction=direction,
        point=point_of(direction, dataset.batches, chance),
        returns=chance.random() < 0.5,
        limits=(name, chance.choice(fault.limits[name])) if name else None,
    )
