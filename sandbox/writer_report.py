"""What webhook-like writers report: what was acknowledged to them, what was not, and how long they waited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any, Final

__all__ = ["CONSTRAINT", "Contact", "Message", "Record", "Waits", "Write", "WriterReport"]

CONSTRAINT: Final = "unique_phone_workspace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """A contact row and its key. `repr` leaves the phone out."""

    id: Any
    workspace_id: Any
    phone: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message row and the key of the contact it was meant for."""

    id: Any
    workspace_id: Any
    phone: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """One write: when it was due, when its turn came and when it was over; seconds of time.monotonic()."""

    kind: str
    due: float
    started: float
    finished: float

    @property
    def wait(self) -> float:
        """Seconds from when it was due: a stalled writer's next writes count as late, too."""
        return self.finished - self.due


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """How long writes took, in seconds; `longest_after` is when the longest was due, since the start."""

    count: int = 0
    longest: float = 0.0
    longest_after: float = 0.0
    p99: float = 0.0


@dataclass(kw_only=True, slots=True)
class Record:
    """What one thread notes down while it writes."""

    contacts: list[Contact] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    names: dict[Any, str] = field(default_factory=dict)
    rejections: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    retry_moments: list[tuple[float, str]] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    races: int = 0

    def retried(self, why: str) -> None:
        """Note that a write is done again."""
        self.retries[why] += 1
        self.retry_moments.append((time.monotonic(), why))


@dataclass(frozen=True, kw_only=True)
class WriterReport:
    """What all threads saw.

    `contacts`, `messages` and `names` (contact id -> last name given to it) were acknowledged by a commit.
    `rejections` counts unique violations by (SQLSTATE, constraint), `retries` writes for a contact that had
    just been merged away (23503, or `moved` where an UPDATE met no row), done again by phone; `errors` counts
    all else by SQLSTATE, `connection` where there was none. `retry_moments` says when each retry was; these,
    `started` and `stopped` are seconds of time.monotonic().
    """

    started: float
    stopped: float
    contacts: tuple[Contact, ...]
    messages: tuple[Message, ...]
    names: Mapping[Any, str]
    rejections: Mapping[tuple[str, str], int]
    errors: Mapping[str, int]
    retries: Mapping[str, int]
    retry_moments: tuple[tuple[float, str], ...]
    writes: tuple[Write, ...]
    races: int

    @classmethod
    def of(cls, records: Iterable[Record], *, started: float, stopped: float) -> WriterReport:
        """Put the threads' records together."""
        known = list(records)
        return cls(
            started=started,
            stopped=stopped,
            contacts=tuple(contact for record in known for contact in record.contacts),
            messages=tuple(message for record in known for message in record.messages),
            names={contact: name for record in known for contact, name in record.names.items()},
            rejections=sum((record.rejections for record in known), Counter()),
            errors=sum((record.errors for record in known), Counter()),
            retries=sum((record.retries for record in known), Counter()),
            retry_moments=tuple(sorted(moment for record in known for moment in record.retry_moments)),
            writes=tuple(sorted((w for record in known for w in record.writes), key=lambda write: write.due)),
            races=max((record.races for record in known), default=0),
        )

    def waits(self, since: float = -inf, until: float = inf) -> Waits:
        """The waits of all writes that were under way or due between two moments of time.monotonic()."""
        chosen = [write for write in self.writes if write.due <= until and write.finished >= since]
        if not chosen:
            return Waits()
        longest = max(chosen, key=lambda write: write.wait)
        return Waits(
            count=len(chosen),
            longest=longest.wait,
            longest_after=longest.due - self.started,
            p99=_percentile([write.wait for write in chosen], 0.99),
        )

    def retries_between(self, since: float, until: float) -> Mapping[str, int]:
        """The retries between two moments of time.monotonic()."""
        return Counter(why for moment, why in self.retry_moments if since <= moment <= until)

    @property
    def unexpected(self) -> dict[str, int]:
        """Everything a writer got that is not a 23505 naming unique_phone_workspace, counted."""
        wrong = {f"{state} {name}": n for (state, name), n in self.rejections.items() if name != CONSTRAINT}
        return {**self.errors, **wrong}


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[ceil(share * len(values)) - 1]
