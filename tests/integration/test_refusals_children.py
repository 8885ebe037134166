"""What a run refuses of the tables that refer to the contacts: keys that nobody checks, rows that cannot be changed."""

from __future__ import annotations

import pytest

from sandbox.trial import CONTACTS, query, reasons, run

NOTES = """
    CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts ON DELETE CASCADE);
    INSERT INTO notes VALUES (1, 1), (2, 2), (3, 5), (4, 6);
"""


def told(url: str, **settings) -> list[tuple[str, str, str]]:
    return [(r.code, r.problem, r.way_on) for r in reasons(url, **settings)]


@pytest.mark.parametrize("table", ["notes", "contacts"])
@pytest.mark.parametrize("state", ["DISABLE TRIGGER ALL", "ENABLE REPLICA TRIGGER"])
def test_a_foreign_key_that_nobody_checks(database_url, table, state):
    run(database_url, CONTACTS + NOTES)
    if state == "DISABLE TRIGGER ALL":
        run(database_url, f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    else:
        names = query(database_url, f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass")
        run(database_url, *(f'ALTER TABLE {table} ENABLE REPLICA TRIGGER "{name}"' for (name,) in names))

    assert told(database_url) == [
        (
            "disabled_foreign_key",
            'the triggers of the foreign key "notes_contact_id_fkey" of "public.notes" are disabled: nobody checks it',
            'ALTER TABLE ... ENABLE TRIGGER ALL on "public.notes" and "public.contacts"',
        )
    ]


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
def test_a_foreign_key_that_empties_references_where_a_key_moves(database_url, action):
    """Keys move with their contact, back too, and whoever refers to them by then would lose the reference."""
    run(database_url, CONTACTS, "CREATE TABLE profiles (contact_id bigint PRIMARY KEY REFERENCES contacts)")
    photos = f"CREATE TABLE photos (id int PRIMARY KEY, contact_id bigint REFERENCES profiles ON UPDATE {action})"
    run(database_url, photos, "INSERT INTO profiles VALUES (2); INSERT INTO photos VALUES (1, 2)")

    ((code, _, way_on),) = told(database_url)

    assert (code, way_on) == ("update_action", 'make "photos_contact_id_fkey" ON UPDATE NO ACTION or CASCADE')


def test_a_foreign_key_on_one_partition_only(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE events (id int, contact_id bigint, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);"
        "ALTER TABLE events_1 ADD FOREIGN KEY (contact_id) REFERENCES contacts;"
        "INSERT INTO events VALUES (1, 2, 1), (2, 2, 11)",
    )

    assert told(database_url)[:-1] == [
        (
            "partition_foreign_key",
            'the foreign key "events_1_contact_id_fkey" is on the partition "public.events_1" alone: other partitions '
            "would be left dangling",
            "declare it on the partitioned table",
        ),
    ]
    assert told(database_url)[-1][1].startswith('"public.events.contact_id" looks like a reference')


@pytest.mark.parametrize(
    ("definition", "kind"),
    [
        ("id int PRIMARY KEY, held bigint, contact_id bigint GENERATED ALWAYS AS (held) STORED", "is generated"),
        ("id int PRIMARY KEY, contact_id bigint GENERATED ALWAYS AS IDENTITY", "is GENERATED ALWAYS AS IDENTITY"),
    ],
)
def test_a_reference_that_cannot_be_set(database_url, definition, kind):
    run(database_url, CONTACTS + f"CREATE TABLE extras ({definition} REFERENCES contacts)")

    assert told(database_url) == [
        (
            "generated_reference",
            f'column "contact_id" of "public.extras" refers to rows that are merged and {kind}: it cannot be set',
            "change the column's definition",
        )
    ]


def test_rules(database_url):
    run(
        database_url,
        CONTACTS + NOTES + "CREATE RULE keep AS ON DELETE TO contacts DO INSTEAD NOTHING;"
        "CREATE RULE log AS ON UPDATE TO notes DO ALSO NOTHING",
    )

    assert told(database_url) == [
        (
            "rule",
            f'the rule "{rule}" on "public.{table}" rewrites the statements of a merge',
            f'DROP RULE "{rule}" ON "public"."{table}"',
        )
        for rule, table in [("keep", "contacts"), ("log", "notes")]
    ]


def test_published_without_a_key(database_url):
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE clicks (contact_id bigint REFERENCES contacts); CREATE PUBLICATION all_of_it FOR ALL TABLES",
    )

    assert told(database_url) == [
        (
            "no_replica_identity",
            '"public.clicks" has no primary key and is published: PostgreSQL refuses to update it',
            'give it a primary key, or: ALTER TABLE "public"."clicks" REPLICA IDENTITY FULL',
        )
    ]


def test_a_key_that_moves_under_a_table_without_one(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE profiles (contact_id bigint PRIMARY KEY REFERENCES contacts);"
        "CREATE TABLE links (contact_id bigint REFERENCES profiles, url text)",
    )

    assert told(database_url) == [
        (
            "keyless_child",
            '"public.links" has no primary key and refers to a key of "public.profiles" that itself moves',
            'give "public.links" a primary key',
        )
    ]


def test_a_large_table_without_an_index(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, body text);"
        "INSERT INTO notes SELECT n, 4, repeat('x', 1000) FROM generate_series(1, 2000) AS n",
        "ANALYZE notes",
    )

    create = 'CREATE INDEX CONCURRENTLY ON "public"."notes" ("contact_id")'
    problem = '"public.notes" is large and has no index on ("contact_id"): every batch would read all of it'
    assert told(database_url) == [("no_index", problem, create)]
    run(database_url, create)
    assert told(database_url) == []
