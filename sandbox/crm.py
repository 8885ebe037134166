"""The sample CRM: a schema like the ones people run on Supabase, with duplicate contacts of every kind."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import psycopg

SETTINGS: Final[dict[str, str]] = {
    "CONTACTS_SCHEMA_REFERENCES": "activities.subject_id where subject_type = 'Contact'",
}
"""What this CRM's owner has to declare, as environment variables: its one reference without a foreign key."""


def load(url: str, contacts: int = 300) -> None:
    """Create the CRM in the empty database at `url` and fill it with `contacts` contact rows.

    About a quarter of the rows are duplicates of others. The rows depend on `contacts` alone, so that two
    databases loaded with the same number are equal. Some 100,000 contacts take about a minute.
    """
    with psycopg.connect(url) as connection:
        connection.execute(_script("crm.sql"))
        connection.execute(_script("crm_rows.sql", contacts=contacts, workspaces=3 + contacts // 1000))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _script(name: str, **numbers: int) -> bytes:
    """The SQL file `name`, with `:number` replaced as psql does it."""
    text = files("sandbox").joinpath(name).read_text(encoding="utf-8")
    for placeholder, number in numbers.items():
        text = text.replace(f":{placeholder}", str(number))
    return text.encode()
