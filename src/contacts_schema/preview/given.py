"""The settings that are not the default, as text for people. Pure."""

from dataclasses import fields
from typing import Any, Final

from ..errors import without_phones
from ..settings import Settings

# A preview has them anyway.
_SAID: Final = {"schema", "table", "columns", "constraint", "survivor_order", "fill"}


def given(settings: Settings) -> dict[str, str]:
    """Return them by name. A condition is SQL of the user's, which may quote a phone number: that is masked."""
    usual = Settings()
    values = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in _SAID}
    return {name: without_phones(_text(value)) for name, value in values.items() if value != getattr(usual, name)}


def _text(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return ", ".join(".".join(filter(None, item)) if isinstance(item, tuple) else str(item) for item in value)
