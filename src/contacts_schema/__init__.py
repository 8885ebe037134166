"""Make a live contacts table unique by workspace and phone, and take it back exactly."""

from contacts_schema.errors import (
    AnotherRunInProgress,
    ConnectionFailed,
    ContactsSchemaError,
    Interrupted,
    LockNotAcquired,
    MergeFailed,
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
