"""Make a live contacts table unique by workspace and phone, and take it back exactly."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contacts_schema.errors import (
        AnotherRunInProgress,
        ConnectionFailed,
        ContactsSchemaError,
        Interrupted,
        LockNotAcquired,
        MergeFailed,
        NothingStamped,
        OfflineUnavailable,
        Reason,
        Refused,
        SettingsError,
        StatementFailed,
        TransactionOpen,
        UrlError,
    )
    from contacts_schema.report import Progress, Report, Silent
    from contacts_schema.settings import Reference, Settings

__all__ = [
    "AnotherRunInProgress",
    "ConnectionFailed",
    "ContactsSchemaError",
    "Interrupted",
    "LockNotAcquired",
    "MergeFailed",
    "NothingStamped",
    "OfflineUnavailable",
    "Progress",
    "Reason",
    "Reference",
    "Refused",
    "Report",
    "Settings",
    "SettingsError",
    "Silent",
    "StatementFailed",
    "TransactionOpen",
    "UrlError",
]


def __getattr__(name: str) -> Any:
    """Import it now: an application that uses `contacts_schema.webhook` alone needs none of it, nor Alembic."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    modules = (import_module(f"{__name__}.{module}") for module in ("errors", "report", "settings"))
    return next(getattr(module, name) for module in modules if hasattr(module, name))
