"""The versions that CI calls the lowest are those that pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_lowest_versions_are_those_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups() for line in project["dependencies"])
    pins = [line.split("==") for line in (ROOT / "tests" / "lowest.txt").read_text().splitlines() if "==" in line]
    tested = {name: version for name, version in pins if name != "psycopg-binary"}

    assert tested.keys() == allowed.keys()
    for name, version in allowed.items():
        assert (tested[name] + ".").startswith(version + ".")
