"""What is measured: a table, its duplicates, and who writes to it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import psycopg

from benchmarks.ways import script

__all__ = ["Case", "Data", "cases", "load"]

CONTACTS_PER_WORKSPACE = 100


@dataclass(frozen=True, kw_only=True, order=True)
class Data:
    """A table of contacts, the share of them that are duplicates, and the messages of each."""

    contacts: int
    duplicates: float
    messages: int = 2


@dataclass(frozen=True, kw_only=True, order=True)
class Case:
    """`data` under writers: writes a second, and of these the pairs that race for a new phone."""

    data: Data
    rate: float
    races: float

    def __str__(self) -> str:
        load = f"{self.rate:.0f} writes/s" if self.rate else "no writers"
        return f"{self.data.contacts:,} contacts, {self.data.duplicates:.1%} duplicates, {load}"


def cases(contacts: list[int], duplicates: list[float], messages: int, rates: list[float], races: float) -> Iterator[Case]:
    """Every combination; those of the same data in a row."""
    for size, share, rate in product(contacts, duplicates, rates):
        data = Data(contacts=size, duplicates=share, messages=messages)
        yield Case(data=data, rate=rate, races=races if rate else 0)


def load(url: str, data: Data) -> None:
    """Fill an empty database."""
    text = script("load.sql")
    values = {"contacts": data.contacts, "duplicates": data.duplicates, "messages": data.messages}
    values["workspaces"] = max(1, data.contacts // CONTACTS_PER_WORKSPACE)
    for name, value in values.items():
        text = text.replace(f":{name}", str(value))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())
        connection.execute("VACUUM ANALYZE")
