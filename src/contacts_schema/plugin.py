"""The entry point `alembic.plugins`: Alembic imports this module and calls `setup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.runtime.plugins import Plugin


def setup(plugin: Plugin) -> None:  # noqa: ARG001 - Alembic's signature; directives belong to `op`, not to a plugin
    """Register the directives with Alembic's `op`. May be called any number of times."""
    # Imported here: importing it imports Alembic, which at once asks this module for `setup`.
    import contacts_schema.operations  # noqa: F401 - the import registers
