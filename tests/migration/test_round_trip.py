"""The whole CRM up and down again: what comes out is unique, and what comes back is what was there."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure
from tests.migration.observed import execute, remains, rows, value, without_stamps

EVERYTHING = "SELECT count(*) FROM contacts"
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
    SELECT source_schema || '.' || source_name, source_schema, source_name, name, key_names
    FROM contacts_schema.relation WHERE kind = 'archive'
"""


@pytest.fixture
def before(crm_url):
    return snapshot(crm_url)


def test_one_contact_is_left_for_each_phone_of_a_workspace(crm_url, migrate):
    keys = value(crm_url, "SELECT count(DISTINCT (workspace_id, phone)) FROM contacts WHERE phone IS NOT NULL")

    migrate(crm_url, "upgrade", "head")

    assert value(crm_url, "SELECT count(*) FROM contacts WHERE phone IS NOT NULL") == keys
    assert duplicate_groups(crm_url) == 0
    assert constraint_is_valid(crm_url)
    assert remains(crm_url) == []


def test_every_removed_row_is_in_the_archive_and_no_other(crm_url, before, migrate):
    migrate(crm_url, "upgrade", "head")

    after = snapshot(crm_url)
    gone = {name: before[name].rows.keys() - after[name].rows.keys() for name in before if before[name].key}
    archived = dict.fromkeys(gone, frozenset())
    for table, key in archived_keys(crm_url):
        archived[table] |= {key}
    # A profile's key is the contact it belongs to, so a profile that only moved has a new one.
    moved = {key for key in gone["public.contact_profiles"] - archived["public.contact_profiles"]}
    assert len(after["public.contact_profiles"].rows) == len(before["public.contact_profiles"].rows) - len(
        archived["public.contact_profiles"]
    )
    assert moved
    for table in gone.keys() - MOVED_KEYS:
        assert archived[table] == gone[table], table
        assert not after[table].rows.keys() - before[table].rows.keys(), table
    assert len(gone["public.contacts"]) == len(before["public.contacts"].rows) - len(after["public.contacts"].rows) > 50


MOVED_KEYS = {"public.contact_profiles", "public.contact_tags", "public.conversation_participants"}
"""Tables in whose primary key a reference is: there a moved row has another one."""


def archived_keys(url):
    with psycopg.connect(url) as connection:
        for table, _, _, archive, keys in connection.execute(ARCHIVES).fetchall():
            columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(key)) for key in keys)
            name = sql.Identifier("contacts_schema", archive)
            for row in connection.execute(sql.SQL("SELECT {} FROM {}").format(columns, name)):
                yield table, row


@pytest.mark.parametrize("table", sorted(MOVED_KEYS))
def test_rows_whose_key_moved_are_kept_or_archived(crm_url, before, migrate, table):
    migrate(crm_url, "upgrade", "head")

    archived = sum(name == table for name, _ in archived_keys(crm_url))
    assert archived > 0
    assert value(crm_url, f"SELECT count(*) FROM {table}") + archived == len(before[table].rows)


def test_every_reference_is_whole(crm_url, migrate):
    migrate(crm_url, "upgrade", "head")

    for child, name, columns, parent, keys in rows(crm_url, FOREIGN_KEYS):
        pairs = " AND ".join(f"child.{c} = parent.{k}" for c, k in zip(columns, keys, strict=True))
        filled = " AND ".join(f"child.{c} IS NOT NULL" for c in columns)
        lost = f"SELECT count(*) FROM {child} AS child WHERE {filled} AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE {pairs})"
        assert value(crm_url, lost) == 0, name
    assert value(crm_url, DANGLING_ACTIVITIES) == 0


def test_rows_that_do_not_collide_are_all_there_under_the_survivor(crm_url, before, migrate):
    messages = "SELECT messages.id, workspace_id, phone FROM messages JOIN contacts ON contacts.id = contact_id ORDER BY 1"
    belonging = rows(crm_url, messages)

    migrate(crm_url, "upgrade", "head")

    assert rows(crm_url, messages) == belonging
    for table in ("messages", "notes", "deals", "tasks", "calls", "billing.invoices", "activities", "events", "link_clicks"):
        name = table if "." in table else f"public.{table}"
        count = sum(len(t.rows) for n, t in before.items() if n == name or n.startswith(f"{name}_"))
        assert value(crm_url, f"SELECT count(*) FROM {table}") == count, table


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


def test_a_downgrade_brings_everything_back(crm_url, before, migrate):
    made_of = structure(crm_url)

    migrate(crm_url, "upgrade", "head")
    assert difference(before, snapshot(crm_url))
    migrate(crm_url, "downgrade", "base")

    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made_of


def test_up_and_down_again_and_again(crm_url, before, migrate):
    made_of = structure(crm_url)
    migrate(crm_url, "upgrade", "head")
    merged = snapshot(crm_url)
    migrate(crm_url, "downgrade", "base")

    migrate(crm_url, "upgrade", "head")
    assert without_stamps(merged) == without_stamps(snapshot(crm_url))
    migrate(crm_url, "downgrade", "base")

    assert difference(before, snapshot(crm_url)) == []
    assert structure(crm_url) == made_of


def test_one_step_down_and_up_again(crm_url, migrate):
    migrate(crm_url, "upgrade", "head")
    made_of, merged = structure(crm_url), snapshot(crm_url)

    migrate(crm_url, "downgrade", "-1")
    assert not constraint_is_valid(crm_url)
    twin = "INSERT INTO contacts (workspace_id, phone) SELECT workspace_id, phone FROM contacts WHERE phone IS NOT NULL LIMIT 1"
    execute(crm_url, twin)
    assert duplicate_groups(crm_url) == 1
    migrate(crm_url, "upgrade", "head")

    assert difference(merged, snapshot(crm_url)) == []
    assert constraint_is_valid(crm_url)
    assert {line for line in structure(crm_url) ^ made_of if "contacts_schema." not in line} == set()


def test_a_second_upgrade_has_nothing_to_do(crm_url, migrate):
    migrate(crm_url, "upgrade", "head")
    first = snapshot(crm_url), structure(crm_url)

    migrate(crm_url, "stamp", "base")
    migrate(crm_url, "upgrade", "head")

    assert (snapshot(crm_url), structure(crm_url)) == first

