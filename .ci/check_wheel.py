"""Checks an installed wheel from outside the checkout: Alembic finds its directives and its revisions."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from alembic import op
from alembic.config import Config
from alembic.script import ScriptDirectory

DIRECTIVES = (
    "merge_duplicates",
    "restore_duplicates",
    "create_unique_constraint_online",
    "drop_unique_constraint_online",
)
REVISIONS = ["dedupe_contacts", "unique_phone_workspace"]


def main() -> None:
    """Print what the wheel holds. Raises AssertionError where something is missing."""
    # First: nothing but Alembic's own import may be needed to get the directives.
    missing = [name for name in DIRECTIVES if not hasattr(op, name)]
    assert not missing, f"Alembic did not register {missing}"
    package = Path(str(import_module("contacts_schema").__file__)).parent
    assert "site-packages" in package.parts, f"imported from {package}, not from a wheel"
    assert (package / "py.typed").is_file(), "py.typed is missing"
    found = _revisions(package / "migrations")
    assert found == REVISIONS, f"the wheel's revisions are {found}"
    command = Path(sys.executable).with_name("contacts-schema")
    said = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    assert version("contacts_schema") in said, f"contacts-schema says {said!r}"
    assert (package / "preview" / "page.html").is_file(), "the page is missing"
    print(f"contacts_schema {version('contacts_schema')}: op.{', op.'.join(DIRECTIVES)}")
    print(f"revisions {' -> '.join(found)}")


def _revisions(folder: Path) -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(folder))
    return [each.revision for each in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]


if __name__ == "__main__":
    main()
