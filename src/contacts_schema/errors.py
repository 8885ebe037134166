"""Everything that this package raises on purpose. No message holds a phone number or a password."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from alembic.util.exc import CommandError

_LIKE_A_PHONE = re.compile(r"\+?\d(?:[\s()./-]{0,2}\d){6,}")
_SHOWN = 80


def shown(text: str) -> str:
    """Return `text` quoted for a message: one line, at most 80 characters, long runs of digits masked."""
    masked = without_phones(" ".join(text.split()))
    return f'"{masked if len(masked) <= _SHOWN else masked[:_SHOWN] + "..."}"'


def without_phones(text: str) -> str:
    """Return `text` with long runs of digits masked."""
    return _LIKE_A_PHONE.sub("...", text)


def is_lost(sqlstate: str | None) -> bool:
    """Whether an operational error with this code means that the connection went away, not that a statement failed."""
    return sqlstate is None or sqlstate.startswith(("57P", "08"))


def began_with_ctrl_c(error: BaseException | None) -> bool:
    """Whether somebody stopped us, and leaving what was going on then failed in its own way."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


# Alembic's own command line shows a CommandError as one message, and everything else as a traceback.
class ContactsSchemaError(CommandError):
    """The work on the contacts table stopped."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or type(self).__name__).split()))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a setting.

    `value` is what was given, None where no single value is at fault; `source` says where it came from.
    """

    name: str
    fault: str
    value: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        value = "" if self.value is None else f" {shown(self.value)}"
        source = "" if self.source is None else f" (from {self.source})"
        return f"{self.name}{value}{source} {self.fault}"


class SettingsError(ContactsSchemaError):
    """The settings are wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(_listed("settings are wrong", [str(problem) for problem in self.problems]))


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a run does not start: the fact, what to do about it, and a short stable word for programs."""

    problem: str
    way_on: str
    code: str


class Refused(ContactsSchemaError):
    """The run was refused before the first change."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)
        count = "1 reason" if len(self.reasons) == 1 else f"{len(self.reasons)} reasons"
        lines = [f"refused before the first change, for {count}:"]
        for number, reason in enumerate(self.reasons, 1):
            lines += [f"  {number}. {reason.problem}", f"     -> {reason.way_on}"]
        super().__init__("\n".join(lines))


class LockNotAcquired(ContactsSchemaError):
    """A lock could not be had within its attempts. `holders` are lines that name the sessions in the way."""

    def __init__(self, what: str, attempts: int, holders: Sequence[str] = ()) -> None:
        self.what, self.attempts, self.holders = what, attempts, tuple(holders)
        held = f"; held by {', '.join(self.holders)}" if self.holders else ""
        super().__init__(
            f"no lock on {what} after {attempts} attempts{held}; "
            "end what holds it or raise lock_attempts, then run the same command again"
        )


class AnotherRunInProgress(ContactsSchemaError):
    """Another run is going on in this database. `pid` is its backend's, None where it cannot be seen."""

    def __init__(self, pid: int | None = None) -> None:
        self.pid = pid
        backend = "" if pid is None else f" (backend {pid})"
        super().__init__(
            f"another run is going on in this database{backend}; wait for its end, then run the same command again"
        )


class TableReplaced(ContactsSchemaError):
    """Another table has the name since, or none. `table` is its schema and name."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"{table} was renamed or replaced while the run was going on; the data is consistent; "
            "see to it that the settings name the table that is meant, then run the same command again"
        )


class Interrupted(ContactsSchemaError):
    """interrupted; the data is consistent; run the same command again to go on; after an upgrade new duplicates stay
    rejected until it has ended or is taken back
    """


class NothingStamped(ContactsSchemaError):
    """A downgrade found nothing to undo though upgrades have left something. `left` are lines that tell what."""

    def __init__(self, left: Sequence[str]) -> None:
        self.left = tuple(left)
        super().__init__("\n".join(f"nothing is stamped here, yet {line}" for line in self.left))


class StatementFailed(ContactsSchemaError):
    """The server refused a statement. Carries SQLSTATE and names, not its text, which can hold values."""

    def __init__(self, sqlstate: str | None, table: str | None = None, constraint: str | None = None) -> None:
        self.sqlstate, self.table, self.constraint = sqlstate, table, constraint
        super().__init__(f"the server refused a statement{self.place()}; look it up in the server's log")

    def place(self) -> str:
        """Return what is known of the statement, as the middle of a sentence."""
        names = (("table", self.table), ("constraint", self.constraint))
        known = ", ".join(f'{kind} "{name}"' for kind, name in names if name)
        return (f" on {known}" if known else "") + f" (SQLSTATE {self.sqlstate or 'unknown'})"


class CatalogKeepsChanging(ContactsSchemaError):
    """Tables were altered faster than a plan could be made and one batch merged. `table` is the one that is merged."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"{table}, or what refers to it, was altered again and again, each time before a batch could be merged; "
            "the data is consistent; run the same command again while no tables are made or altered"
        )


class MergeFailed(StatementFailed):
    """A batch of the merge failed, and trying again did not mend it. Earlier batches are done and stay."""

    def __str__(self) -> str:
        return (
            f"a batch of the merge failed{self.place()}; it was rolled back and the data is consistent; "
            "remove the cause, then run the same command again"
        )


class ConnectionFailed(ContactsSchemaError):
    """no connection to the database; check DATABASE_URL and that the server can be reached"""


class UrlError(ContactsSchemaError):
    """DATABASE_URL is not set; set it to postgresql://USER:PASSWORD@HOST:PORT/DATABASE"""


class TransactionOpen(ContactsSchemaError):
    """the connection given to Alembic is inside a transaction of its caller, and this operation commits as
    it goes; in env.py use context.configure(..., transaction_per_migration=True), and before it neither begin
    a transaction nor query on the connection
    """


class OfflineUnavailable(ContactsSchemaError):
    """a downgrade is rendered from what the archive holds: set DATABASE_URL, so that it can be looked at"""


def _listed(title: str, lines: Sequence[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    numbered = [f"  {number}. {line}" for number, line in enumerate(lines, 1)]
    return "\n".join([f"{title}, {len(lines)} problems:", *numbered])
