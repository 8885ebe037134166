"""Breaks the engine in small ways, one at a time, and counts how often the tests notice. `make mutation` runs it.

mutmut makes the mutants; which tests see one is found by running them, the quickest first, until one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from sandbox.alembic_command import ROOT
from sandbox.servers import choose, server

__all__ = ["Verdict", "main"]

MUTATED: Final = ("plan.py", "guard.py", "archive.py", "archive_layout.py", "constraint.py", "ddl.py", "merge/*.py")
SECONDS: Final = 900
"""A mutant that makes the tests run longer than this counts as noticed."""
UNIT: Final = ("plan", "tree", "suspects", "compose")
INTEGRATION: Final = (
    "merge", "merge_groups", "collisions", "archive", "guard", "collision_keys", "merge_declared", "constraint",
    "restore_kept", "restore_twice", "found_by_properties", "after_attack", "rehearsal", "refusals", "refusals_children",
    "refusals_references", "refusals_rows", "refusals_rights", "catalog", "alembic", "unstamped",
)  # fmt: skip
TESTS: Final = (
    *(f"tests/unit/test_{name}.py" for name in UNIT),
    *(f"tests/integration/test_{name}.py" for name in INTEGRATION),
    "tests/operator/test_script.py",
    "tests/migration/test_round_trip.py",
    "tests/migration/test_concurrency.py",
)
GENERATE: Final = """
from mutmut import __main__ as m
m.set_mutant_under_test("mutant_generation")
m.copy_src_dir(), m.copy_also_copy_files(), m.setup_source_paths(), m.create_mutants(1)
"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A mutant, and the test that noticed it; None where it survived."""

    mutant: str
    noticed_by: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each mutant of the sample, and the share of those that were noticed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=120, help="mutants, drawn by the seed")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="contacts_schema_mutants.") as folder, _servers(asked.workers) as urls:
        mutants = _made(Path(folder))
        print(f"{len(mutants)} mutants", flush=True)
        drawn = random.Random(asked.seed).sample(mutants, min(asked.sample, len(mutants)))
        verdicts = list(_judged(Path(folder) / "mutants", urls, drawn))
    noticed = sum(verdict.noticed_by is not None for verdict in verdicts)
    print(f"{noticed} of {len(verdicts)} noticed, {noticed / len(verdicts):.1%}")
    return 0


def _made(folder: Path) -> list[str]:
    """Copy the checkout, and break the copy in every way that mutmut knows; gives the mutants' names."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    others = sorted({name.partition("/")[0] for name in listed.stdout.splitlines()} - {"src", "pyproject.toml"})
    wanted = [f"src/contacts_schema/{name}" for name in MUTATED]
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[tool.mutmut]\nsource_paths = ["src"]\nonly_mutate = {wanted}\nalso_copy = {others}\n')
    subprocess.run([sys.executable, "-c", GENERATE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    records = (folder / "mutants" / "src").rglob("*.meta")
    return sorted(name for record in records for name in json.loads(record.read_text())["exit_code_by_key"])


@contextmanager
def _servers(count: int) -> Iterator[list[str]]:
    """One for each worker: roles belong to a server, and tests make and drop some of fixed names."""
    with ExitStack() as stack:
        yield [stack.enter_context(server(choose())).url for _ in range(count)]


def _judged(folder: Path, urls: Sequence[str], mutants: Sequence[str]) -> Iterator[Verdict]:
    free: SimpleQueue[str] = SimpleQueue()
    for url in urls:
        free.put(url)

    def judge(mutant: str) -> Verdict:
        url = free.get()
        try:
            return _verdict(folder, url, mutant)
        finally:
            free.put(url)

    with ThreadPoolExecutor(len(urls)) as pool:
        for verdict in pool.map(judge, mutants):
            print(f"{verdict.mutant}: {verdict.noticed_by or 'SURVIVED'}", flush=True)
            yield verdict


def _verdict(folder: Path, url: str, mutant: str) -> Verdict:
    ways = {"MUTANT_UNDER_TEST": mutant, "PYTHONPATH": f"{folder}/src:{folder}"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not icu", *TESTS]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **ways, "TEST_SERVER": "url", "TEST_DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(mutant=mutant, noticed_by="no end")
    if done.returncode == 0:
        return Verdict(mutant=mutant, noticed_by=None)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return Verdict(mutant=mutant, noticed_by=failed[0][:120] if failed else "no start")


if __name__ == "__main__":
    sys.exit(main())
