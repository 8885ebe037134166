"""The real `alembic` of this checkout, as a command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "command", "environment"]

ROOT: Final = Path(__file__).parents[1]
"""Where the command has to be run: the folder of alembic.ini."""


def command(*arguments: str) -> list[str]:
    """The words that run `alembic ARGUMENTS`."""
    return [sys.executable, "-m", "alembic", *arguments]


def environment(url: str, **more: str) -> dict[str, str]:
    """This process's environment for a run against `url`, cleared of what would change it, and `more`."""
    # Our own settings and libpq's defaults; and a command that is deployed finds its modules compiled.
    changing = ("CONTACTS_SCHEMA_", "PG", "PYTHONDONTWRITEBYTECODE")
    usual = {n: v for n, v in os.environ.items() if not n.startswith(changing)}
    return {**usual, "DATABASE_URL": url, **more}
