"""What a run refuses of references: look-alikes, what the settings say of them, and foreign keys that do not hold."""

from __future__ import annotations

import pytest

from contacts_schema.settings import Reference
from sandbox.trial import CONTACTS, query, reasons, run

NOTES = """
    CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts ON DELETE CASCADE);
    INSERT INTO notes VALUES (1, 1), (2, 2), (3, 5), (4, 6);
"""
CALLS = "CREATE TABLE calls (id int PRIMARY KEY, contact_id bigint); INSERT INTO calls VALUES (1, 2), (2, 4);"


def told(url: str, **settings) -> list[tuple[str, str, str]]:
    return [(r.code, r.problem, r.way_on) for r in reasons(url, **settings)]


def suspect(column: str, way_on: str | None = None, parent: str = "public.contacts") -> tuple[str, str, str]:
    problem = (
        f'"{column}" looks like a reference to "{parent}" and has no foreign key: '
        "deleting a duplicate would leave it dangling"
    )
    free = f"set references = {column}, or, if it is none, ignore_references = {column}"
    return "suspect", problem, way_on or free


def test_columns_named_like_the_table(database_url):
    run(
        database_url,
        CONTACTS + CALLS + 'CREATE TABLE mails (id int, "contactId" bigint, primary_contact_id int, fax_id bigint,'
        "contact_uuid bigint, contact_ids bigint[], contact_label_id text)",
    )

    array = "an array cannot be moved: set ignore_references = public.mails.contact_ids, and correct it by hand afterwards"
    assert told(database_url) == [
        suspect("public.calls.contact_id"),
        suspect("public.mails.contactId"),
        suspect("public.mails.primary_contact_id"),
        suspect("public.mails.contact_uuid"),
        suspect("public.mails.contact_ids", array),
    ]


def test_names_that_need_quotes(database_url):
    run(database_url, CONTACTS + 'CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."Late.Orders" (contact_id bigint)')

    ((_, problem, way_on),) = told(database_url)

    assert problem.startswith('"My Shop.Late.Orders.contact_id" looks like a reference to "public.contacts"')
    assert way_on.startswith('set references = "My Shop"."Late.Orders".contact_id, or, ')


def test_polymorphic_pairs_are_suspect_where_a_row_names_the_table(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE activities (subject_type text, subject_id bigint);"
        "INSERT INTO activities VALUES ('Deal', 1), ('Contact', 2);"
        "CREATE TABLE comments (subject_type text, subject_id bigint); INSERT INTO comments VALUES ('Deal', 1);"
        'CREATE TABLE audits ("itemType" text, "itemId" text); INSERT INTO audits VALUES (\'contacts\', \'2\')',
    )

    activities, audits = "public.activities.subject_id", "public.audits.itemId"
    assert told(database_url) == [
        suspect(
            activities,
            f"set references = {activities} where subject_type = '...', or, if it is none, ignore_references = {activities}",
        ),
        suspect(
            audits,
            f"set references = {audits} where \"itemType\" = '...', or, if it is none, ignore_references = {audits}",
        ),
    ]


def test_suspects_of_a_child_whose_rows_may_merge(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE conversations (id bigint PRIMARY KEY, contact_id bigint REFERENCES contacts, channel text,"
        "UNIQUE (contact_id, channel)); CREATE TABLE messages (id int, conversation_id bigint)",
    )

    where = "public.messages.conversation_id"
    assert told(database_url) == [
        suspect(
            where,
            f"set references = {where} -> public.conversations, or, if it is none, ignore_references = {where}",
            "public.conversations",
        )
    ]


def test_ignoring_and_declaring_settle_a_suspect(database_url):
    run(database_url, CONTACTS + CALLS + CALLS.replace("calls", "faxes"))

    found = told(
        database_url,
        ignore_references=((None, "faxes", "contact_id"),),
        references=(Reference(table="calls", column="contact_id"),),
    )

    assert found == []
    assert query(database_url, "SELECT id, contact_id FROM calls ORDER BY id") == [(1, 1), (2, 4)]
    assert query(database_url, "SELECT id, contact_id FROM faxes ORDER BY id") == [(1, 2), (2, 4)]


def test_settings_that_name_nothing(database_url):
    run(database_url, CONTACTS)

    found = told(
        database_url,
        ignore_references=((None, "faxes", "contact_id"),),
        collisions=((None, "tags", "merge"),),
        references=(
            Reference(table="calls", column="contact_id"),
            Reference(table="contacts", column="nme"),
            Reference(table="contacts", column="name", target_table="people"),
            Reference(table="contacts", column="name", target_table="contacts", target_column="nickname"),
        ),
    )

    correct = "correct the setting references"
    assert found == [
        ("bad_reference", 'the declared reference "calls.contact_id" is in a table that does not exist', correct),
        ("no_column", '"public.contacts" has no column "nme"', 'name one that it has, such as "name" or "phone"'),
        (
            "bad_reference",
            'the declared reference "contacts.name" leads to "public.people", which does not exist',
            correct,
        ),
        (
            "no_column",
            '"public.contacts" has no column "nickname"',
            'name one that it has, such as "name"',
        ),
        (
            "bad_collisions",
            'collisions names "public.tags", which no reference leads to',
            "name a table whose rows hang on the contacts, or take the entry out",
        ),
        (
            "bad_ignore",
            'ignore_references names "public.faxes.contact_id", which does not exist or is not named like a reference',
            "name a column that there is, or take the entry out",
        ),
    ]


def test_a_declared_reference_to_a_key_of_two_columns(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (workspace_id int, id int, phone text, PRIMARY KEY (workspace_id, id));"
        "INSERT INTO contacts VALUES (1, 1, '+15550001'), (1, 2, '+15550001');" + CALLS,
    )

    assert told(database_url, references=(Reference(table="calls", column="contact_id"),)) == [
        (
            "bad_reference",
            'the declared reference "calls.contact_id" names no column of "public.contacts", whose primary key is not '
            "one column",
            "correct the setting references",
        )
    ]


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


def test_a_foreign_key_on_one_partition_only(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE events (id int, contact_id bigint, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);"
        "ALTER TABLE events_1 ADD FOREIGN KEY (contact_id) REFERENCES contacts;"
        "INSERT INTO events VALUES (1, 2, 1), (2, 2, 11)",
    )

    assert told(database_url) == [
        (
            "partition_foreign_key",
            'the foreign key "events_1_contact_id_fkey" is on the partition "public.events_1" alone: other partitions '
            "would be left dangling",
            "declare it on the partitioned table",
        ),
        suspect("public.events.contact_id"),
    ]


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
        CONTACTS + "CREATE TABLE clicks (contact_id bigint REFERENCES contacts); CREATE PUBLICATION all_of_it FOR ALL TABLES",
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
