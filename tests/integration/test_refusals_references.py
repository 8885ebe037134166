"""What a run refuses of references: look-alikes, and what the settings say of them."""

from __future__ import annotations

import pytest

from contacts_schema.settings import Reference
from sandbox.trial import CONTACTS, query, reasons, run

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
        "CREATE TABLE audits (\"itemType\" text, \"itemId\" text); INSERT INTO audits VALUES ('contacts', '2')",
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


@pytest.mark.parametrize(
    ("column", "target"),
    [
        ("workspace_id", {}),
        ("phone", {}),
        ("id", {}),
        ("id", {"target_table": "contacts", "target_column": "number"}),
        ("number", {"target_table": "contacts", "target_column": "number"}),
    ],
)
def test_a_column_of_a_key_of_the_table_itself_is_no_reference(database_url, column, target):
    run(database_url, CONTACTS + "ALTER TABLE contacts ADD number bigint UNIQUE")

    found = told(database_url, references=(Reference(table="contacts", column=column, **target),))

    key = "is a column of the key that rows are merged by, and cannot be changed by the merge"
    own = 'is a column of a key of "public.contacts" itself, and no reference to one'
    fault = key if column in ("workspace_id", "phone") else own
    assert found == [
        ("bad_reference", f'the declared reference "contacts.{column}" {fault}', "correct the setting references")
    ]


@pytest.mark.parametrize("column", ["pg_catalog.pg_class.oid", "information_schema.sql_parts.feature_id"])
def test_the_tables_of_the_server_refer_to_nothing(database_url, column):
    run(database_url, CONTACTS)
    schema, name, field = column.split(".")

    found = told(database_url, references=(Reference(schema=schema, table=name, column=field),))

    problem = f'the declared reference "{column}" names "{schema}.{name}", which is a table of the server\'s own'
    assert ("bad_reference", problem, "correct the setting references") in found


def test_a_refused_condition_is_not_shown(database_url):
    run(database_url, CONTACTS + CALLS)
    reference = Reference(table="calls", column="contact_id", condition="contact_id = 'call 55-501 now' AND true")

    (((code, problem, _)),) = told(database_url, references=(reference,))

    assert (code, problem) == (
        "bad_sql",
        'the server does not accept the SQL of references, "calls.contact_id" (SQLSTATE 22P02)',
    )


@pytest.mark.parametrize(("condition", "state"), [("1 / (id - 1) > 0", "22012"), ("body::int = 1", "22P02")])
def test_a_condition_that_fails_on_a_row_is_named(database_url, condition, state):
    run(database_url, CONTACTS + CALLS + "ALTER TABLE calls ADD body text DEFAULT '+15550001, call'")
    reference = Reference(table="calls", column="contact_id", condition=condition)

    assert told(database_url, references=(reference,)) == [
        (
            "bad_sql",
            f'the condition of the reference "calls.contact_id" fails on a value of some row (SQLSTATE {state})',
            "write it so that it can be computed for every row",
        )
    ]


def test_a_key_that_refers_to_the_table_itself(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id bigint REFERENCES contacts, phone text);"
        "INSERT INTO contacts VALUES (1, 1, '+15550001'), (2, 1, '+15550001'), (3, 2, '+15550001')",
    )

    problem = (
        'column "workspace_id" of "public.contacts" belongs to the key and refers to "public.contacts" itself: '
        "each merge would change keys, and make new duplicates"
    )
    assert told(database_url) == [("key_reference", problem, "nothing was changed; merge by hand")]


@pytest.mark.parametrize("order", ["generate_series(1, 2)", "max(id)", "row_number() OVER ()"])
def test_an_order_that_is_none(database_url, order):
    run(database_url, CONTACTS)

    ((code, problem, _),) = told(database_url, survivor_order=order)

    assert code == "bad_sql"
    assert problem.startswith("the server does not accept the SQL of survivor_order: ")
