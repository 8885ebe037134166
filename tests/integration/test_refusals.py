"""What a run refuses of the table itself, of names and of the role, on a real server, with nothing changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

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
            CONTACTS + "CREATE SCHEMA contacts_schema; CREATE TABLE contacts_schema.theirs (id int)",
            "private_schema",
            'the schema "contacts_schema" is somebody else\'s',
            "set private_schema to a name that is free",
            id="private schema",
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


class Role:
    """A role that owns nothing, and its way in."""

    def __init__(self, url: str) -> None:
        self.name = f"deployer_{secrets.token_hex(4)}"
        self.admin = url
        run(url, f"CREATE ROLE {self.name} LOGIN PASSWORD 'x'")
        self.url = make_url(url).set(username=self.name, password="x").render_as_string(hide_password=False)

    def told(self, **settings) -> list[tuple[str, str, str]]:
        found = told(self.admin, self.url, **settings)
        return [tuple(text.replace(self.name, "deployer") for text in reason) for reason in found]


@pytest.fixture
def role(database_url) -> Iterator[Role]:
    made = Role(database_url)
    yield made
    run(database_url, f"DROP OWNED BY {made.name} CASCADE", f"DROP ROLE {made.name}")


def grant(role: Role, *rights: str) -> None:
    run(role.admin, *(f"GRANT {right} TO {role.name}" for right in rights))


def test_a_stranger_lacks_everything(role, database_url):
    run(database_url, CONTACTS, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    database = make_url(database_url).database
    run(database_url, f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC")

    found = role.told()

    assert found == [
        (
            "not_owner",
            'role "deployer" does not own "public.contacts"',
            'run as its owner, or: GRANT "postgres" TO "deployer"',
        ),
        (
            "rights",
            'role "deployer" lacks CREATE ON SCHEMA "public": an index is made there',
            'GRANT CREATE ON SCHEMA "public" TO "deployer"',
        ),
        (
            "rights",
            f'role "deployer" lacks CREATE ON DATABASE "{database}": the archive is a schema of its own',
            f'GRANT CREATE ON DATABASE "{database}" TO "deployer"',
        ),
        (
            "rights",
            f'role "deployer" lacks TEMPORARY ON DATABASE "{database}": work lists are temporary tables',
            f'GRANT TEMPORARY ON DATABASE "{database}" TO "deployer"',
        ),
        (
            "rights",
            'role "deployer" lacks USAGE ON SCHEMA "public", which holds "public.contacts"',
            'GRANT USAGE ON SCHEMA "public" TO "deployer"',
        ),
        (
            "rights",
            'role "deployer" lacks SELECT, UPDATE, INSERT, DELETE on "public.contacts"',
            'GRANT SELECT, UPDATE, INSERT, DELETE ON "public"."contacts" TO "deployer"',
        ),
    ]


def owner_of_contacts(role: Role) -> None:
    """Everything that the contacts themselves need."""
    database = make_url(role.admin).database
    run(role.admin, CONTACTS, f"ALTER TABLE contacts OWNER TO {role.name}")
    grant(role, "CREATE ON SCHEMA public", f"CREATE ON DATABASE {database}")


def test_rights_on_a_child(role):
    owner_of_contacts(role)
    run(
        role.admin,
        "CREATE SCHEMA billing; CREATE TABLE billing.invoices (id int PRIMARY KEY, contact_id bigint REFERENCES contacts);"
        "CREATE TABLE tags (contact_id bigint REFERENCES contacts, tag text, PRIMARY KEY (contact_id, tag))",
    )

    assert role.told() == [
        (
            "child_rights",
            'role "deployer" lacks SELECT, UPDATE, INSERT, DELETE on "public.tags"',
            'GRANT SELECT, UPDATE, INSERT, DELETE ON "public"."tags" TO "deployer"',
        ),
        (
            "child_rights",
            'role "deployer" lacks USAGE ON SCHEMA "billing", which holds "billing.invoices"',
            'GRANT USAGE ON SCHEMA "billing" TO "deployer"',
        ),
        (
            "child_rights",
            'role "deployer" lacks SELECT, UPDATE on "billing.invoices"',
            'GRANT SELECT, UPDATE ON "billing"."invoices" TO "deployer"',
        ),
    ]


def test_the_grants_that_are_named_suffice(role):
    owner_of_contacts(role)
    run(
        role.admin,
        "CREATE SCHEMA billing; CREATE TABLE billing.invoices (id int PRIMARY KEY, contact_id bigint REFERENCES contacts);"
        "INSERT INTO billing.invoices VALUES (1, 2)",
    )
    for _, _, way_on in role.told():
        run(role.admin, way_on.replace("deployer", role.name))

    assert role.told() == []
    assert query(role.admin, "SELECT contact_id FROM billing.invoices") == [(1,)]


def test_triggers_of_a_child_that_is_not_owned(role):
    owner_of_contacts(role)
    run(
        role.admin,
        "CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts);"
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER pass BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION pass()",
    )
    grant(role, "ALL ON notes")

    assert role.told() == [
        (
            "child_owner",
            'role "deployer" does not own "public.notes", whose triggers must rest while its rows are brought back',
            'run as its owner, or: GRANT "postgres" TO "deployer"',
        )
    ]


def test_row_level_security_that_hides_rows(role):
    owner_of_contacts(role)
    run(
        role.admin,
        "ALTER TABLE contacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts);"
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    )
    grant(role, "ALL ON notes")

    assert role.told() == [
        (
            "row_security",
            f'row level security would hide rows of "public.{table}" from role "deployer"',
            f"run as a role with BYPASSRLS, or: {otherwise}",
        )
        for table, otherwise in [
            ("contacts", 'ALTER TABLE "public"."contacts" NO FORCE ROW LEVEL SECURITY'),
            ("notes", 'GRANT "postgres" TO "deployer"'),
        ]
    ]
