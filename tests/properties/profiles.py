"""How many examples each property is tried on."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

__all__ = ["ASKED", "PROFILE", "USUAL"]

USUAL: Final = 51
ASKED: Final = os.environ.get("PROPERTY_EXAMPLES", "")
"""The examples of all three properties; whoever names a number gets other examples each time."""

_COMMON: Final = settings(
    max_examples=max(1, int(ASKED or USUAL) // 3),
    deadline=None,
    database=None,
    print_blob=True,
    # The test's one database is made anew for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    # Not explain: a run takes a second.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)

settings.register_profile("properties", _COMMON, derandomize=True)
settings.register_profile("properties, many", _COMMON)

PROFILE: Final = settings.get_profile("properties, many" if ASKED else "properties")
