"""Make a live contacts table unique by workspace and phone, and take it back exactly."""

# First, and whole before the errors derive from its own: Alembic's first import loads the directives, which need them.
import alembic  # noqa: F401 - for its side effect, see above

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
