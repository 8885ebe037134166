"""References that no foreign key tells of, moved because the user declared them, and moved back."""

from __future__ import annotations

import pytest

from contacts_schema.settings import Reference
from sandbox.trial import CONTACTS, query, round_trip, run


@pytest.mark.parametrize(
    ("reference", "setup", "expected"),
    [
        pytest.param(
            Reference(table="calls", column="contact_id"),
            "CREATE TABLE calls (id int PRIMARY KEY, contact_id bigint); INSERT INTO calls VALUES (1, 2), (2, 6), (3, 999)",
            [(1, 1), (2, 5), (3, 999)],
            id="plain",
        ),
        pytest.param(
            Reference(table="calls", column="contact_id"),
            "CREATE TABLE calls (id int PRIMARY KEY, contact_id text);"
            "INSERT INTO calls VALUES (1, '2'), (2, '6'), (3, 'not a number')",
            [(1, "1"), (2, "5"), (3, "not a number")],
            id="of another type",
        ),
        pytest.param(
            Reference(table="calls", column="subject_id", condition="subject_type = 'Contact' AND calls.id < 4"),
            "CREATE TABLE calls (id int PRIMARY KEY, subject_id bigint, subject_type text);"
            "INSERT INTO calls VALUES (1, 2, 'Contact'), (2, 2, 'Deal'), (3, 6, 'Contact'), (4, 6, 'Contact')",
            [(1, 1, "Contact"), (2, 2, "Deal"), (3, 5, "Contact"), (4, 6, "Contact")],
            id="polymorphic",
        ),
        pytest.param(
            Reference(table="calls", column="name", target_table="contacts", target_column="name"),
            "CREATE TABLE calls (id int PRIMARY KEY, name text); INSERT INTO calls VALUES (1, 'second'), (2, 'other')",
            [(1, "first"), (2, "other")],
            id="to a column that is no key",
        ),
    ],
)
def test_declared_references(database_url, reference, setup, expected):
    run(database_url, CONTACTS, setup)

    def look() -> None:
        assert query(database_url, "TABLE calls ORDER BY id") == expected

    round_trip(database_url, look, references=(reference,))


def test_text_that_holds_uuids(database_url):
    one, two = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2))
    run(
        database_url,
        "CREATE TABLE contacts (id uuid PRIMARY KEY, workspace_id int, phone text);"
        f"INSERT INTO contacts VALUES ('{one}', 1, '+15550001'), ('{two}', 1, '+15550001');"
        "CREATE TABLE calls (id int PRIMARY KEY, contact_id varchar(36));"
        f"INSERT INTO calls VALUES (1, '{two}'), (2, 'x')",
    )

    def look() -> None:
        assert query(database_url, "TABLE calls ORDER BY id") == [(1, one), (2, "x")]

    round_trip(database_url, look, references=(Reference(table="calls", column="contact_id"),))
