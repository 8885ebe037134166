"""What is read from the catalog, of the sample CRM and of what it lacks."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from contacts_schema.catalog.facts import Facts, Table
from contacts_schema.catalog.read import fingerprint, read_facts
from contacts_schema.settings import Reference, Settings
from sandbox.server_databases import database
from sandbox.trial import CONTACTS, run


def facts_of(url: str, **settings) -> Facts:
    with psycopg.connect(url) as connection:
        return read_facts(connection, Settings(**settings))


def table(facts: Facts, label: str) -> Table:
    return next(t for t in facts.tables.values() if t.label == label)


@pytest.fixture(scope="module")
def crm(postgres, crm_template) -> Iterator[Facts]:
    with database(postgres.url, template=crm_template) as url:
        yield facts_of(url, references=(Reference(table="activities", column="subject_id"),))


def test_every_table_that_hangs_on_the_contacts_is_read(crm):
    assert sorted(t.label for t in crm.tables.values() if not t.is_partition) == [
        "billing.invoices",
        "public.activities",
        "public.calls",
        "public.contact_profiles",
        "public.contact_tags",
        "public.contacts",
        "public.conversation_participants",
        "public.conversations",
        "public.custom_values",
        "public.deals",
        "public.events",
        "public.link_clicks",
        "public.messages",
        "public.notes",
        "public.profile_links",
        "public.tasks",
    ]


def test_keys_of_partitions_are_inherited_ones(crm):
    keys = {crm.tables[k.table].label: k.inherited for k in crm.foreign_keys if "events" in crm.tables[k.table].name}

    assert keys.pop("public.events") is False
    assert set(keys.values()) <= {True}


def test_a_composite_key_keeps_the_order_of_its_columns(crm):
    (key,) = (k for k in crm.foreign_keys if crm.tables[k.table].name == "tasks")

    assert crm.tables[key.table].names(key.columns) == "workspace_id, contact_id"
    assert crm.tables[key.parent].names(key.parent_columns) == "workspace_id, id"
    assert key.equality == ("OPERATOR(pg_catalog.=)",) * 2


def test_columns_tell_what_they_are(crm):
    columns = table(crm, "public.contacts").by_name

    assert (columns["display_name"].generated, columns["number"].identity) == ("s", "a")
    assert (columns["email"].type, columns["email"].base_type) == ("public.email_address", "text")
    assert columns["workspace_id"].not_null
    assert not columns["phone"].not_null


@pytest.mark.parametrize(
    ("column", "comparable"),
    [
        ("raw_payload", False),  # json
        ("custom_attributes", True),
        ("tags", True),
        ("stage", True),
        ("home", True),
        ("reachable", True),
        ("avatar", True),
        ("email", True),
    ],
)
def test_equality_is_the_operator_of_the_types_own_class(crm, column, comparable):
    expected = "OPERATOR(pg_catalog.=)" if comparable else None

    assert table(crm, "public.contacts").by_name[column].equality == expected


def test_row_level_security_does_not_hide_rows_from_a_superuser(crm):
    assert not table(crm, "public.contacts").row_security_active


def test_triggers_are_decoded(crm):
    (trigger,) = table(crm, "public.contacts").triggers

    assert (trigger.name, trigger.function, trigger.enabled) == ("set_updated_at", "set_updated_at", "O")
    assert (trigger.before, trigger.row, trigger.on_update, trigger.on_delete) == (True, True, True, False)


def test_indexes_of_every_kind(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, name text, at int4range,"
        "CONSTRAINT one UNIQUE NULLS NOT DISTINCT (phone) INCLUDE (name) DEFERRABLE,"
        "CONSTRAINT apart EXCLUDE USING gist (at WITH &&));"
        "CREATE UNIQUE INDEX by_name ON contacts (lower(name), workspace_id) WHERE phone IS NOT NULL;"
        "CREATE INDEX other ON contacts (phone DESC);"
        'CREATE INDEX collated ON contacts (phone COLLATE "C")',
    )
    contacts = table(facts_of(database_url), "public.contacts")
    indexes = {index.name: index for index in contacts.indexes}

    assert contacts.primary_key == (1,)
    one, apart, by_name = indexes["one"], indexes["apart"], indexes["by_name"]
    assert (one.columns, one.included, one.nulls_not_distinct, one.deferrable) == ((3,), (4,), True, True)
    assert (apart.exclusion, apart.unique, apart.equality) == (True, False, ("OPERATOR(pg_catalog.&&)",))
    assert (by_name.columns, by_name.mentions, by_name.keys) == ((0, 2), (2, 3, 4), ("lower(name)", "workspace_id"))
    assert by_name.predicate == "(phone IS NOT NULL)"
    assert {name for name, index in indexes.items() if index.plain} == {"contacts_pkey", "one", "by_name", "apart"}
    assert indexes["collated"].keys == ('phone COLLATE pg_catalog."C"',)


def test_a_partitioned_tables_conditions(database_url):
    run(
        database_url,
        CONTACTS + "CREATE TABLE events (id int, contact_id bigint REFERENCES contacts, at int) PARTITION BY RANGE (at);"
        "CREATE TABLE low (at int, contact_id bigint, id int) PARTITION BY LIST (contact_id);"
        "ALTER TABLE events ATTACH PARTITION low FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE low_1 PARTITION OF low FOR VALUES IN (1); CREATE TABLE rest PARTITION OF events DEFAULT",
    )
    events = table(facts_of(database_url), "public.events")

    assert events.partitioned_by == (2, 3)
    assert len(events.partitions) == 2
    assert any("contact_id = '1'::bigint" in (condition or "") for condition in events.partitions)


def test_a_missing_table_brings_the_names_that_there_are(database_url):
    run(database_url, "CREATE TABLE contact (id int); CREATE SCHEMA crm; CREATE VIEW crm.people AS SELECT 1 AS id")
    facts = facts_of(database_url)

    assert (facts.target, facts.tables, facts.similar) == (None, {}, ("crm.people", "public.contact"))


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ("CREATE TABLE more (contact_id bigint REFERENCES contacts)", True),
        ("CREATE UNIQUE INDEX ON notes (body)", True),
        ("ALTER TABLE notes ADD CHECK (id > 0)", True),
        ("ALTER TABLE notes RENAME body TO text", True),
        ("ALTER TABLE notes ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =)", True),
        (
            "CREATE TRIGGER still BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            True,
        ),
        ("CREATE INDEX ON notes (body)", False),
        ("CREATE TABLE elsewhere (id int)", False),
        ("ANALYZE notes", False),
    ],
)
def test_the_fingerprint_changes_with_what_a_merge_relies_on(database_url, change, matters):
    run(database_url, CONTACTS, "CREATE TABLE notes (id int, contact_id bigint REFERENCES contacts, body text)")
    oids = list(facts_of(database_url).tables)

    def taken() -> str:
        with psycopg.connect(database_url) as connection:
            return fingerprint(connection, oids)

    before = taken()
    run(database_url, change)

    assert (taken() != before) is matters
