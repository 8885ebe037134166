"""The faults there are, and what a run, its writers and those who compare have to expect of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.faults import faults_of_crowds as crowds
from tests.faults import faults_of_runs as runs
from tests.faults import faults_of_schemas as schemas
from tests.faults import faults_of_waiting as waiting
from tests.faults.place import Where
from tests.faults.scene import DEADLINE, Scene

Strike = Callable[[Scene], AbstractContextManager[None]]

LOST: Final = frozenset({"connection", "57P01", "57P02", "57P03", "08006"})
FULL: Final = frozenset({*LOST, "53100", "58030"})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: `strike` brings it about and, where it lasts `holds` seconds or until the run ends, takes it back.

    `settings` are the run's, `limits` are its role's, one of them chosen by the seed. `excuses` are what ordinary writers
    may be told for it. `rides_out`: the run that is struck succeeds itself. `way_back`: a downgrade can be struck too.
    `same_rows`: in the end the rows are those of an undisturbed run; `comes_back`: all of them return.
    """

    name: str
    strike: Strike
    where: Where = "shared"
    proxied: bool = False
    holds: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excuses: frozenset[str] = frozenset()
    rides_out: bool = False
    way_back: bool = True
    same_rows: bool = True
    comes_back: bool = True

    @property
    def words(self) -> str:
        """What it is, in a sentence."""
        inner = self.strike.args[0] if isinstance(self.strike, partial) and self.strike.args else self.strike
        return " ".join((getattr(inner, "__doc__", None) or "").split())


# Longer than any statement that does not wait, shorter than what the fault makes others wait for.
LIMITS: Final = {"statement_timeout": ("800ms",)}
OTHER_LIMITS: Final = {
    "idle_in_transaction_session_timeout": ("800ms",),
    "lock_timeout": ("20ms",),
    "default_transaction_isolation": ("serializable", "repeatable read"),
    "transaction_timeout": ("800ms",),
}


def _bulk(how: crowds.Bulk) -> Strike:
    return partial(_strike_bulk, how)


def _strike_bulk(how: crowds.Bulk, scene: Scene) -> AbstractContextManager[None]:
    return crowds.bulk(scene, how)


FAULTS: Final = (
    Fault(name="client killed", strike=runs.kill),
    Fault(name="backend ended", strike=runs.terminate),
    Fault(name="server crashes", strike=runs.crash, where="own", excuses=LOST),
    Fault(name="lock held", strike=waiting.lock, settings=waiting.IMPATIENT),
    # On the way back nothing waits for as long as the limit.
    Fault(name="statement_timeout", strike=waiting.limits, limits=LIMITS, way_back=False, rides_out=True),
    Fault(name="old snapshot", strike=waiting.old_snapshot, rides_out=True),
    Fault(name="disk full", strike=runs.fill_disk, where="small", holds=runs.WITNESSED, excuses=FULL),
    Fault(name="network cut", strike=runs.cut, proxied=True),
    Fault(name="network stalls", strike=runs.stall, proxied=True),
    Fault(name="network half closed", strike=runs.half_close, proxied=True),
    Fault(name="three runs at once", strike=crowds.more_runs, rides_out=True),
    Fault(name="100,000 in one INSERT", strike=_bulk(crowds.one_statement), rides_out=True),
    Fault(name="20,000 INSERTs", strike=_bulk(crowds.singles), rides_out=True),
    Fault(name="COPY", strike=_bulk(crowds.copied), rides_out=True),
    Fault(
        name="TRUNCATE",
        strike=crowds.truncate,
        excuses=frozenset({"contact is gone", "40P01"}),
        way_back=False,
        same_rows=False,
        comes_back=False,
    ),
    Fault(name="strict writers", strike=crowds.strict_writers, holds=DEADLINE, rides_out=True),
    Fault(name="column added", strike=schemas.add_column, way_back=False, rides_out=True),
    Fault(name="child table added", strike=schemas.add_child, way_back=False, rides_out=True),
    Fault(name="unique constraint dropped", strike=schemas.drop_unique, way_back=False, same_rows=False, rides_out=True),
    Fault(name="client lost unnoticed", strike=runs.lose_client, proxied=True),
    Fault(name="Alembic's backend ended", strike=runs.terminate_alembic),
    Fault(name="other limits of the role", strike=waiting.limits, limits=OTHER_LIMITS, rides_out=True),
    Fault(name="rows edited", strike=crowds.edit, holds=DEADLINE, rides_out=True),
)
