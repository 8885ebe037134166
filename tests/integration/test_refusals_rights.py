"""What a role without this or that right is told, and that the GRANTs it is told suffice."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from sandbox.trial import CONTACTS, query, reasons, run


class Role:
    """A role that owns nothing, and its way in."""

    def __init__(self, url: str) -> None:
        self.name = f"deployer_{secrets.token_hex(4)}"
        self.admin = url
        run(url, f"CREATE ROLE {self.name} LOGIN PASSWORD 'x'")
        self.url = make_url(url).set(username=self.name, password="x").render_as_string(hide_password=False)

    def told(self, **settings) -> list[tuple[str, ...]]:
        found = reasons(self.admin, self.url, **settings)
        told = [(reason.code, reason.problem, reason.way_on) for reason in found]
        return [tuple(text.replace(self.name, "deployer") for text in texts) for texts in told]


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
            'run as its owner, or: ALTER TABLE "public"."contacts" OWNER TO "deployer"',
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
            'run as its owner, or: ALTER TABLE "public"."notes" OWNER TO "deployer"',
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
            ("notes", 'ALTER TABLE "public"."notes" OWNER TO "deployer"'),
        ]
    ]


def test_membership_is_advised_in_an_owner_who_is_no_superuser(role):
    owner_of_contacts(role)
    run(role.admin, f"CREATE ROLE {role.name}_owner", f"ALTER TABLE contacts OWNER TO {role.name}_owner")
    try:
        assert [way_on for code, _, way_on in role.told() if code == "not_owner"] == [
            'run as its owner, or: GRANT "deployer_owner" TO "deployer"'
        ]
    finally:
        run(role.admin, f"DROP OWNED BY {role.name}_owner CASCADE", f"DROP ROLE {role.name}_owner")


HIDDEN = (
    '"crm.activities.subject_id" may be a reference to "public.contacts", and role "deployer" cannot read '
    '"crm.activities" to tell: deleting a duplicate would leave it dangling'
)
SETTLED = (
    "set references = crm.activities.subject_id where subject_type = '...', or, if it is none, "
    "ignore_references = crm.activities.subject_id"
)


@pytest.mark.parametrize(
    ("setup", "way_on"),
    [
        (
            "REVOKE ALL ON activities FROM PUBLIC",
            'GRANT USAGE ON SCHEMA "crm" TO "deployer"; GRANT SELECT ON "crm"."activities" TO "deployer", or ',
        ),
        (
            "GRANT USAGE ON SCHEMA crm TO PUBLIC; GRANT SELECT ON activities TO PUBLIC;"
            "ALTER TABLE activities ENABLE ROW LEVEL SECURITY",
            "run as a role with BYPASSRLS, or ",
        ),
    ],
    ids=["no_right", "row_level_security"],
)
def test_a_polymorphic_pair_that_cannot_be_read_is_suspect(role, setup, way_on):
    owner_of_contacts(role)
    run(
        role.admin,
        "CREATE SCHEMA crm; SET search_path = crm; CREATE TABLE activities (subject_type text, subject_id bigint);"
        "INSERT INTO activities VALUES ('Contact', 2);" + setup,
    )

    assert role.told() == [("suspect", HIDDEN, way_on + SETTLED)]
    assert role.told(ignore_references=(("crm", "activities", "subject_id"),)) == []


@pytest.mark.parametrize(
    ("setup", "command", "problem", "way_on"),
    [
        (
            "CREATE TABLE alembic_version (version_num text)",
            "upgrade head",
            'role "deployer" lacks SELECT, INSERT, UPDATE, DELETE on "public.alembic_version"',
            'GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."alembic_version" TO "deployer"',
        ),
        (
            "CREATE TABLE alembic_version (version_num text)",
            "current",
            'role "deployer" lacks SELECT on "public.alembic_version"',
            'GRANT SELECT ON "public"."alembic_version" TO "deployer"',
        ),
        (
            "CREATE TABLE alembic_version (version_num text); GRANT ALL ON alembic_version TO PUBLIC;"
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            "upgrade head",
            'role "deployer" lacks USAGE ON SCHEMA "public", which holds "public.alembic_version"',
            'GRANT USAGE ON SCHEMA "public" TO "deployer"',
        ),
        (
            "",
            "upgrade head",
            'role "deployer" may not create the table "alembic_version" in schema "public"',
            'GRANT USAGE, CREATE ON SCHEMA "public" TO "deployer"',
        ),
    ],
)
def test_rights_on_the_version_table(alembic, role, setup, command, problem, way_on):
    run(role.admin, CONTACTS + setup)

    done = alembic(role.url, *command.split())

    assert (done.returncode, done.stdout) == (1, "")
    told = done.stderr.replace(role.name, "deployer")
    assert told.endswith(f"refused before the first change, for 1 reason:\n  1. {problem}\n     -> {way_on}\n")


def test_a_read_only_session_is_told_before_alembic_writes(alembic, database_url):
    run(database_url, CONTACTS)
    url = f"{database_url}?options=-c%20default_transaction_read_only%3Don"

    done = alembic(url, "upgrade", "head")

    assert done.returncode == 1
    assert "1. the database is read-only for this session" in done.stderr
    assert "SQLSTATE" not in done.stderr
    assert alembic(url, "current").returncode == 0


def test_a_foreign_key_that_is_not_valid_and_leads_to_where_the_role_cannot_look(role):
    owner_of_contacts(role)
    run(role.admin, "CREATE SCHEMA other; CREATE TABLE other.workspaces (id bigint PRIMARY KEY)")
    run(
        role.admin,
        "ALTER TABLE contacts ADD CONSTRAINT home FOREIGN KEY (workspace_id) REFERENCES other.workspaces NOT VALID",
    )

    assert role.told() == [
        (
            "unseen",
            'the foreign key "home" of "public.contacts" is NOT VALID, and role "deployer" cannot see all of '
            '"other.workspaces": a row without its parent could not be brought back',
            "let the role read that table, or validate the foreign key, or drop it",
        )
    ]


def test_texts_are_texts_whatever_the_role_is_set_to(alembic, role):
    owner_of_contacts(role)
    run(role.admin, f"ALTER ROLE {role.name} SET client_encoding = SQL_ASCII")

    assert alembic(role.url, "upgrade", "head").returncode == 0
