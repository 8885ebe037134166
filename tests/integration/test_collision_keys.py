"""Collisions under unique keys of every kind that an index can have; each is brought back."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.trial import CONTACTS, query, round_trip, run


def tags(keys: str, rows: str, table: str = "tags") -> str:
    """A child table with an id of its own, the reference and two columns, under some unique keys."""
    return (
        f"CREATE TABLE {table} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contact_id bigint REFERENCES contacts,"
        f"tag text, active boolean DEFAULT true); {keys}; INSERT INTO {table} (contact_id, tag) VALUES {rows};"
    )


TAGS = "SELECT id, contact_id, tag FROM tags ORDER BY id"


def check(url: str, expected: list[tuple[Any, ...]], select: str = TAGS) -> None:
    def look() -> None:
        assert query(url, select) == expected

    round_trip(url, look)


@pytest.mark.parametrize(
    ("key", "rows", "expected"),
    [
        pytest.param(
            "CREATE UNIQUE INDEX ON tags (contact_id, tag) WHERE tag <> 'free'",
            "(1, 'a'), (2, 'a'), (1, 'free'), (2, 'free')",
            [(1, 1, "a"), (3, 1, "free"), (4, 1, "free")],
            id="partial",
        ),
        pytest.param(
            "CREATE UNIQUE INDEX ON tags (tag) WHERE contact_id = 1",
            "(1, 'a'), (2, 'a'), (2, 'b'), (5, 'a')",
            [(1, 1, "a"), (3, 1, "b"), (4, 5, "a")],
            id="the reference in the predicate alone",
        ),
        pytest.param(
            "CREATE UNIQUE INDEX ON tags (contact_id, (length(tag)))",
            "(1, 'a'), (2, 'a'), (2, 'bb')",
            [(1, 1, "a"), (3, 1, "bb")],
            id="expression over another column",
        ),
        pytest.param(
            "CREATE UNIQUE INDEX ON tags ((contact_id || ':' || tag))",
            "(1, 'a'), (2, 'a'), (2, 'b')",
            [(1, 1, "a"), (3, 1, "b")],
            id="expression over the reference",
        ),
        pytest.param(
            "CREATE UNIQUE INDEX ON tags (contact_id, tag) NULLS NOT DISTINCT",
            "(1, NULL), (2, NULL), (2, 'b')",
            [(1, 1, None), (3, 1, "b")],
            id="nulls not distinct",
        ),
        pytest.param(
            "CREATE UNIQUE INDEX ON tags (contact_id, tag)",
            "(1, NULL), (2, NULL), (2, 'b')",
            [(1, 1, None), (2, 1, None), (3, 1, "b")],
            id="nulls distinct",
        ),
        pytest.param(
            "ALTER TABLE tags ADD code text GENERATED ALWAYS AS (contact_id * 10 || tag) STORED UNIQUE",
            "(1, 'a'), (2, 'a'), (2, 'b')",
            [(1, 1, "a"), (3, 1, "b")],
            id="generated column",
        ),
        pytest.param(
            'CREATE UNIQUE INDEX ON tags (contact_id DESC NULLS LAST, tag COLLATE "C" text_pattern_ops)',
            "(1, 'a'), (2, 'a'), (2, 'b')",
            [(1, 1, "a"), (3, 1, "b")],
            id="other order and operator class",
        ),
        pytest.param(
            "ALTER TABLE tags ADD UNIQUE (contact_id, tag) DEFERRABLE INITIALLY DEFERRED",
            "(1, 'a'), (2, 'a'), (2, 'b')",
            [(1, 1, "a"), (3, 1, "b")],
            id="deferrable",
        ),
    ],
)
def test_under_a_key_of_any_kind(database_url, key, rows, expected):
    run(database_url, CONTACTS, tags(key, rows))

    check(database_url, expected)


def test_under_a_dead_index_that_still_enforces(database_url):
    run(
        database_url,
        CONTACTS,
        tags("CREATE UNIQUE INDEX dead ON tags (contact_id, tag)", "(1, 'a'), (2, 'a'), (2, 'b')"),
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'dead'::regclass",
    )

    check(database_url, [(1, 1, "a"), (3, 1, "b")])


def test_a_dead_index_that_does_not_enforce_is_nothing(database_url):
    run(
        database_url,
        CONTACTS,
        tags("CREATE INDEX ON tags (contact_id)", "(1, 'a'), (2, 'a')"),
        "INSERT INTO tags (contact_id, tag) VALUES (4, 'a'), (4, 'a')",
    )
    with pytest.raises(Exception, match="could not create unique index"):
        run(database_url, "CREATE UNIQUE INDEX CONCURRENTLY dead ON tags (contact_id, tag)")

    check(database_url, [(1, 1, "a"), (2, 1, "a"), (3, 4, "a"), (4, 4, "a")])
