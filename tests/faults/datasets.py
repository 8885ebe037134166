"""What the databases hold that runs are struck on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from sandbox import crm


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A filled database: how it is loaded, the size of a batch that gives about so many `batches`."""

    name: str
    load: Callable[[str], object]
    batch_size: int
    batches: int


def _load_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(Path(__file__).with_name("table.sql").read_bytes())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


TABLE: Final = Dataset(name="a table of 8,100", load=_load_table, batch_size=100, batches=21)
CRM: Final = Dataset(name="the sample CRM", load=crm.load, batch_size=4, batches=9)
SETTINGS: Final[Mapping[str, str]] = crm.SETTINGS
"""What has to be declared in both."""
