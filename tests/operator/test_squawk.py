"""What a linter for migrations says of the scripts, and what docs/script.md says to that."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from sandbox.alembic_command import ROOT
from tests.operator.scripts import DOWN, UP, paste, rendered

SQUAWK = Path(sys.executable).parent / "squawk"
EXPLAINED = re.compile(r"^\| (`[a-z`, -]+`) \| ", re.MULTILINE)


def complaints(script: str) -> set[str]:
    done = subprocess.run(
        [str(SQUAWK), "--pg-version", "15.0", "--reporter", "gcc"], input=script, capture_output=True, text=True, check=False
    )
    assert "syntax-error" not in done.stdout
    return set(re.findall(r": (?:warning|error): ([a-z-]+)", done.stdout))


def test_every_complaint_is_explained_and_every_explanation_needed(crm_url):
    up = rendered(crm_url, *UP)
    paste(crm_url, up)
    found = (
        complaints(up) | complaints(rendered(crm_url, *DOWN)) | complaints(rendered("", *UP, CONTACTS_SCHEMA_REFERENCES=""))
    )

    page = (ROOT / "docs" / "script.md").read_text(encoding="utf-8")
    explained = {rule for cell in EXPLAINED.findall(page) for rule in re.findall(r"`([a-z-]+)`", cell)}
    assert found == explained
