"""What a run refuses of the table itself and of names, on a real server, with nothing changed."""

from __future__ import annotations

import pytest

from contacts_schema.errors import Reason
from sandbox.trial import CONTACTS, merge, query, reasons, restore, run

BARE = "CREATE TABLE contacts (id bigint PRIMARY KEY, workspace_id bigint, phone text"
LATER = "nothing was changed; wait for a version that supports this, or merge by hand"
RENAME = "rename or drop that, or give the constraint another name"


def told(url: str, worker: str | None = None, **settings) -> list[tuple[str, str, str]]:
    return [(r.code, r.problem, r.way_on) for r in reasons(url, worker, **settings)]


def test_no_such_table(database_url):
    run(database_url, "CREATE TABLE contact (id int); CREATE SCHEMA crm; CREATE TABLE crm.contacts (id int)")

    assert reasons(database_url) == (
        Reason(
            code="no_table",
            problem='there is no table "public.contacts"; there is "public.contact" and "crm.contacts"',
            way_on="set schema and table, or connect to another database",
        ),
    )


@pytest.mark.parametrize("name", ["alembic_versions", "contacts_schema.op"])
def test_what_is_ours_or_alembics_is_never_suggested(database_url, name):
    run(
        database_url,
        "CREATE TABLE alembic_version (version_num text); CREATE SCHEMA contacts_schema;"
        "CREATE TABLE contacts_schema.op (id int); CREATE TABLE contacts_schema.ops (id int)",
    )

    ((_, problem, _),) = told(database_url, table=name)

    assert problem == f'there is no table "public.{name}"'


def test_nothing_is_near(database_url):
    assert told(database_url) == [
        (
            "no_table",
            'there is no table "public.contacts"',
            "set schema and table, or connect to another database",
        )
    ]


def test_no_such_columns(database_url):
    run(database_url, CONTACTS)

    assert told(database_url, columns=("workspace", "fone"), fill=("nam",)) == [
        ("no_column", f'"public.contacts" has no column "{name}"', f"name one that it has, such as {near}")
        for name, near in [("workspace", '"workspace_id"'), ("fone", '"phone" or "name"'), ("nam", '"name"')]
    ]


@pytest.mark.parametrize(
    ("kind", "setup"),
    [
        ("a view", "CREATE VIEW contacts AS SELECT 1 AS id, 1 AS workspace_id, '' AS phone"),
        ("a materialized view", "CREATE MATERIALIZED VIEW contacts AS SELECT 1 AS workspace_id, '' AS phone"),
        (
            "a foreign table",
            "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;"
            "CREATE FOREIGN TABLE contacts (id int, workspace_id int, phone text) SERVER nowhere",
        ),
    ],
)
def test_no_table_but(database_url, kind, setup):
    run(database_url, setup)

    assert told(database_url) == [
        ("not_a_table", f'"public.contacts" is {kind}', "set table to the table that its rows are in")
    ]


@pytest.mark.parametrize(
    ("setup", "code", "problem", "way_on"),
    [
        pytest.param(
            "CREATE TABLE contacts (workspace_id int, phone text) PARTITION BY HASH (workspace_id)",
            "partitioned",
            '"public.contacts" is a partitioned table, which is not supported yet',
            LATER,
            id="partitioned",
        ),
        pytest.param(
            "CREATE TABLE whole (id int PRIMARY KEY, workspace_id int, phone text) PARTITION BY HASH (id);"
            "CREATE TABLE contacts PARTITION OF whole FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            "partition",
            '"public.contacts" is a partition, and these are not supported yet',
            LATER,
            id="partition",
        ),
        pytest.param(
            "CREATE TABLE contacts (id int, workspace_id int, phone text)",
            "no_primary_key",
            '"public.contacts" has no primary key: its rows could be neither told apart nor brought back',
            "add a primary key",
            id="no primary key",
        ),
        pytest.param(
            "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone json)",
            "not_comparable",
            'column "phone" of "public.contacts" has the type json, which cannot be unique',
            "change its type",
            id="json",
        ),
        pytest.param(
            CONTACTS + "CREATE TABLE vip (since date) INHERITS (contacts)",
            "inherits",
            '"public.contacts" takes part in table inheritance: rows of its heirs have no keys in common with it',
            "end the inheritance with ALTER TABLE ... NO INHERIT, or merge by hand",
            id="inherits",
        ),
        pytest.param(
            CONTACTS + 'ALTER TABLE contacts ADD COLUMN "~row" int',
            "tilde",
            'column "~row" of "public.contacts" begins with "~", as ours do',
            "rename it",
            id="tilde",
        ),
        pytest.param(
            BARE.replace("phone text", "phone money") + "); INSERT INTO contacts VALUES (1, 1, 5)",
            "not_hashable",
            'column "phone" of "public.contacts" has the type money, which cannot be hashed',
            "change its type",
            id="money",
        ),
        pytest.param(
            CONTACTS + "CREATE SCHEMA contacts_schema; CREATE TABLE contacts_schema.theirs (id int)",
            "private_schema",
            'the schema "contacts_schema" is somebody else\'s',
            "set private_schema to a name that is free",
            id="private schema",
        ),
        *(
            pytest.param(
                CONTACTS + f"CREATE SCHEMA contacts_schema; {made}",
                "private_schema",
                'the schema "contacts_schema" is somebody else\'s',
                "set private_schema to a name that is free",
                id=f"private schema with a {kind}",
            )
            for kind, made in {
                "type": "CREATE TYPE contacts_schema.mood AS ENUM ('fair')",
                "function": "CREATE FUNCTION contacts_schema.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "table of our name": "CREATE TABLE contacts_schema.op (id int)",
            }.items()
        ),
    ],
)
def test_table(database_url, setup, code, problem, way_on):
    run(database_url, setup)

    assert told(database_url) == [(code, problem, way_on)]


@pytest.mark.parametrize(
    ("setup", "taken_by"),
    [
        pytest.param(
            f"{BARE}, name text); CREATE INDEX unique_phone_workspace ON contacts (name)",
            'an index of "public.contacts" with another meaning',
            id="other columns",
        ),
        pytest.param(
            f"{BARE}, gone date);"
            "CREATE UNIQUE INDEX unique_phone_workspace ON contacts (workspace_id, phone) WHERE gone IS NULL",
            'an index of "public.contacts" with another meaning',
            id="partial",
        ),
        pytest.param(
            f"{BARE}, CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone) DEFERRABLE)",
            'an index of "public.contacts" with another meaning',
            id="deferrable",
        ),
        pytest.param(
            f"{BARE}, CONSTRAINT unique_phone_workspace UNIQUE NULLS NOT DISTINCT (workspace_id, phone))",
            'an index of "public.contacts" with another meaning',
            id="nulls not distinct",
        ),
        pytest.param(
            f"{BARE}, CONSTRAINT unique_phone_workspace UNIQUE (workspace_id, phone) INCLUDE (id))",
            'an index of "public.contacts" with another meaning',
            id="covering",
        ),
        pytest.param(
            f"{BARE}, CONSTRAINT unique_phone_workspace CHECK (id > 0))",
            'a check constraint of "public.contacts"',
            id="check",
        ),
        pytest.param(
            f"{BARE}); CREATE TABLE unique_phone_workspace (id int)",
            'the table "public.unique_phone_workspace"',
            id="table",
        ),
        pytest.param(
            f"{BARE}); CREATE TABLE other (phone text CONSTRAINT unique_phone_workspace UNIQUE)",
            'the index "public.unique_phone_workspace"',
            id="index of another table",
        ),
    ],
)
def test_name_taken(database_url, setup, taken_by):
    run(database_url, setup)

    problem = f'the name "unique_phone_workspace" is taken by {taken_by}'
    assert told(database_url) == [("name_taken", problem, RENAME)]


def test_all_reasons_come_at_once(database_url):
    run(
        database_url,
        CONTACTS + "INSERT INTO contacts VALUES (20, 1, '', 'blank');"
        "CREATE TABLE calls (id int PRIMARY KEY, contact_id bigint);"
        "CREATE RULE keep AS ON DELETE TO contacts DO INSTEAD NOTHING;"
        "CREATE TABLE unique_phone_workspace (id int)",
    )

    assert [code for code, _, _ in told(database_url)] == ["rule", "name_taken", "blank_phones", "suspect"]


def test_already_unique_needs_no_answers(database_url):
    """Suspects, rules and keyless tables matter only where there is something to merge."""
    run(
        database_url,
        f"{BARE}); INSERT INTO contacts VALUES (1, 1, '+15550001'), (2, 1, '+15550002'), (3, 1, NULL), (4, 1, NULL);"
        "CREATE TABLE calls (contact_id bigint); CREATE TABLE clicks (contact_id bigint REFERENCES contacts);"
        "CREATE PUBLICATION everything FOR ALL TABLES",
    )

    report = merge(database_url)

    assert (report.groups, report.rows_merged, report.references_moved) == (0, 0, {})
    restore(database_url)
    assert query(database_url, "SELECT count(*) FROM contacts") == [(4,)]


def test_constrained_already_does_nothing_at_all(database_url):
    run(database_url, f"{BARE}, CONSTRAINT unique_phone_workspace UNIQUE (phone, workspace_id))")

    assert reasons(database_url) == ()
    assert query(database_url, "SELECT to_regnamespace('contacts_schema')::text") == [(None,)]
