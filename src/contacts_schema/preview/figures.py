"""What a preview found, as one frozen value that can be printed, compared and written as JSON. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from ..errors import Reason

FORMAT: Final = 1
"""The version of the JSON. A new key does not change it; a key that goes or means something else does."""

State = Literal["constrained", "unique", "duplicates", "refused"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One key with several rows. `key` are the values of the key's columns but the phone, as text; `phone` is whole."""

    key: tuple[str, ...]
    phone: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The duplicates of one workspace: how many groups, and how many rows would go."""

    key: tuple[str, ...]
    groups: int
    duplicates: int


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Columns that refer to rows which can be merged.

    `found` says how it is known. `rows` is the planner's estimate for the table, None where it was never analysed, and
    `refers` counts the rows that refer to a duplicate: exact, None for a suspect, of which nothing is known.
    """

    table: str
    columns: str
    parent: str
    found: Literal["foreign key", "declared", "suspect"]
    rows: int | None
    refers: int | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to the rows of one table: `changed` stay with another value, `merged` go into others."""

    table: str
    changed: int
    merged: int


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What fires for, or sends out, rows that a merge changes or removes: a trigger or a publication."""

    table: str
    kind: Literal["trigger", "publication"]
    name: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the upgrade, its lock, and what a writer notices of it."""

    name: str
    lock: str
    writers: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One group to look at: its rows by column, as text, the survivor first, and how many more there are."""

    rows: tuple[Mapping[str, str | None], ...]
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Everything that is known before the first change.

    `rows` is the planner's estimate. `fillable` counts, by column, the groups whose survivor has NULL where a duplicate
    has a value. `near` counts keys that differ only in how the phone is written, which are never merged; None where the
    phone is no text. `seconds` is a rough guess at the duration. `reasons` are those that refuse the upgrade. `settings` are
    those that are not the default. Not in the JSON are `samples`, there where they were asked for, `looked`, which says
    that the rows were counted, and `phoneless`, columns of types that can hold no phone.
    """

    table: str
    columns: tuple[str, ...]
    constraint: str
    survivor_order: str
    constrained: bool = False
    rows: int | None = None
    groups: int = 0
    duplicates: int = 0
    blank_phones: int = 0
    near: int | None = None
    biggest: tuple[Group, ...] = ()
    workspaces: tuple[Workspace, ...] = ()
    references: tuple[Reference, ...] = ()
    changes: tuple[Change, ...] = ()
    fillable: Mapping[str, int] | None = None
    fill: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    steps: tuple[Step, ...] = ()
    seconds: float | None = None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    database: str = ""
    role: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    looked: bool = False
    phoneless: frozenset[str] = frozenset()

    @property
    def state(self) -> State:
        """In one word, what the upgrade would find."""
        if self.reasons:
            return "refused"
        if self.constrained:
            return "constrained"
        return "duplicates" if self.groups else "unique"

    @property
    def exit_code(self) -> int:
        """0 where nothing is to be done, 2 where the upgrade has work, 1 where it would refuse."""
        return {"constrained": 0, "refused": 1}.get(self.state, 2)

    def as_json(self, *, show_phones: bool) -> dict[str, Any]:
        """Return what JSON can hold. Phones are masked unless they are asked for."""
        found = {"format": FORMAT, "state": self.state, **asdict(self)}
        for name in ("samples", "looked", "phoneless"):
            del found[name]
        for group in found["biggest"]:
            group["phone"] = group["phone"] if show_phones else masked(group["phone"])
        return found


def masked(phone: str) -> str:
    """Return a phone number of which only the last two characters are left, and not its length."""
    return f"***{phone[-2:]}" if len(phone) > 5 else "***"
