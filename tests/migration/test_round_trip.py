"""The whole CRM up and down again: what comes out is unique, and what comes back is what was there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.server_databases import database
from sandbox.snapshot import Snapshot, difference, snapshot
from sandbox.structure import structure
from tests.migration.observed import Rows, execute, remains, rows, value, without_stamps

FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, conname,
        (SELECT array_agg(attname::text ORDER BY n) FROM unnest(conkey) WITH ORDINALITY AS k (num, n)
            JOIN pg_attribute ON attrelid = conrelid AND attnum = num),
        confrelid::regclass::text,
        (SELECT array_agg(attname::text ORDER BY n) FROM unnest(confkey) WITH ORDINALITY AS k (num, n)
            JOIN pg_attribute ON attrelid = confrelid AND attnum = num)
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
        AND connamespace::regnamespace::text IN ('public', 'billing')
"""
DANGLING_ACTIVITIES = """
    SELECT count(*) FROM activities
    WHERE subject_type = 'Contact' AND NOT EXISTS (SELECT FROM contacts WHERE contacts.id = subject_id)
"""
PRIVATE_TABLES = """
    SELECT relname, has_table_privilege(role, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'),
        has_schema_privilege(role, relnamespace, 'USAGE'), relrowsecurity
    FROM pg_class, unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role
    WHERE relnamespace = 'contacts_schema'::regnamespace AND relkind = 'r'
"""
ARCHIVES = """
    SELECT source_schema || '.' || source_name, name, key_names
    FROM contacts_schema.relation WHERE kind = 'archive'
"""


MOVED_KEYS = {"contact_profiles", "contact_tags", "conversation_participants"}
"""Tables in whose primary key a reference is: there a moved row has another one."""
KEPT = ("messages", "notes", "deals", "tasks", "calls", "billing.invoices", "activities", "events", "link_clicks")
"""Tables whose rows have no reason to collide."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The CRM after an upgrade, with what was in it before."""

    url: str
    before: Snapshot
    after: Snapshot
    belonging: Rows


BELONGING = "SELECT m.id, workspace_id, phone FROM messages AS m JOIN contacts ON contacts.id = contact_id ORDER BY 1"


@pytest.fixture(scope="module")
def merged(postgres, crm_template, migrate):
    """For tests that only look."""
    with database(postgres.url, template=crm_template) as url:
        before, belonging = snapshot(url), rows(url, BELONGING)
        migrate(url, "upgrade", "head")
        yield Merged(url=url, before=before, after=snapshot(url), belonging=belonging)


@pytest.fixture
def before(crm_url):
    return snapshot(crm_url)


def test_one_contact_is_left_for_each_phone_of_a_workspace(merged):
    def keys(taken):
        table = taken["public.contacts"]
        names = [name for name, _ in table.columns]
        workspace, phone = names.index("workspace_id"), names.index("phone")
        return [(row[workspace], row[phone]) for row in table.rows.values() if row[phone] is not None]

    assert sorted(keys(merged.after)) == sorted(set(keys(merged.before)))
    assert duplicate_groups(merged.url) == 0
    assert constraint_is_valid(merged.url)
    assert remains(merged.url) == []


def test_every_removed_row_is_in_the_archive_and_no_other(merged):
    archived = archived_keys(merged.url)

    assert len(archived["public.contacts"]) > 50
    for name, table in merged.before.items():
        gone = table.rows.keys() - merged.after[name].rows.keys()
        if table.key and name.removeprefix("public.") not in MOVED_KEYS:
            assert archived[name] == gone, name
            assert not merged.after[name].rows.keys() - table.rows.keys(), name


@pytest.mark.parametrize("table", sorted(MOVED_KEYS))
def test_rows_whose_key_moved_are_kept_or_archived(merged, table):
    archived = archived_keys(merged.url)[f"public.{table}"]
    before, after = (taken[f"public.{table}"].rows for taken in (merged.before, merged.after))

    assert archived
    assert archived < before.keys()
    assert len(after) + len(archived) == len(before)


def archived_keys(url):
    found = defaultdict(set)
    with psycopg.connect(url) as connection:
        for table, archive, keys in connection.execute(ARCHIVES).fetchall():
            columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(key)) for key in keys)
            name = sql.Identifier("contacts_schema", archive)
            found[table] |= set(connection.execute(sql.SQL("SELECT {} FROM {}").format(columns, name)))
    return found


def test_every_reference_is_whole(merged):
    for child, name, columns, parent, keys in rows(merged.url, FOREIGN_KEYS):
        pairs = " AND ".join(f"child.{c} = parent.{k}" for c, k in zip(columns, keys, strict=True))
        filled = " AND ".join(f"child.{c} IS NOT NULL" for c in columns)
        whole = f"EXISTS (SELECT FROM {parent} AS parent WHERE {pairs})"
        assert value(merged.url, f"SELECT count(*) FROM {child} AS child WHERE {filled} AND NOT {whole}") == 0, name
    assert value(merged.url, DANGLING_ACTIVITIES) == 0


def test_rows_that_do_not_collide_are_all_there_under_the_survivor(merged):
    assert rows(merged.url, BELONGING) == merged.belonging
    for table in KEPT:
        name = table if "." in table else f"public.{table}"
        count = sum(len(t.rows) for n, t in merged.before.items() if n == name or n.startswith(f"{name}_"))
        assert value(merged.url, f"SELECT count(*) FROM {table}") == count, table


def test_nobody_else_reads_what_was_put_aside(crm_url, migrate):
    migrate(crm_url, "upgrade", "dedupe_contacts")

    found = rows(crm_url, PRIVATE_TABLES)
    assert {"run", "batch", "op", "relation"} < {name for name, *_ in found}
    assert any(name.startswith("claims_") for name, *_ in found)
    for table, rights, usage, row_security in found:
        assert (rights, usage, row_security) == (False, False, True), table
    with psycopg.connect(crm_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SET LOCAL ROLE anon")
        connection.execute("SELECT FROM contacts_schema.op")


def test_a_downgrade_brings_everything_back_again_and_again(crm_url, before, migrate):
    made_of = structure(crm_url)
    migrate(crm_url, "upgrade", "head")
    merged = snapshot(crm_url)
    assert difference(before, merged)
    migrate(crm_url, "downgrade", "base")
    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made_of

    migrate(crm_url, "upgrade", "head")
    assert without_stamps(merged) == without_stamps(snapshot(crm_url))
    migrate(crm_url, "downgrade", "base")

    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made_of


def test_one_step_down_and_up_again(upgraded_url, migrate):
    made_of, merged = structure(upgraded_url), snapshot(upgraded_url)

    migrate(upgraded_url, "downgrade", "-1")
    assert not constraint_is_valid(upgraded_url)
    twin = (
        "INSERT INTO contacts (workspace_id, phone) SELECT workspace_id, phone FROM contacts WHERE phone IS NOT NULL LIMIT 1"
    )
    execute(upgraded_url, twin)
    assert duplicate_groups(upgraded_url) == 1
    migrate(upgraded_url, "upgrade", "head")

    assert difference(merged, snapshot(upgraded_url)) == []
    assert constraint_is_valid(upgraded_url)
    assert {line for line in structure(upgraded_url) ^ made_of if "contacts_schema." not in line} == set()


def test_a_second_upgrade_has_nothing_to_do(upgraded_url, migrate):
    first = snapshot(upgraded_url), structure(upgraded_url)

    migrate(upgraded_url, "stamp", "base")
    migrate(upgraded_url, "upgrade", "head")

    assert (snapshot(upgraded_url), structure(upgraded_url)) == first
