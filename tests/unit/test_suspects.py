"""Which columns look like references, by their names and types."""

from __future__ import annotations

import pytest

from contacts_schema.catalog.facts import Table
from contacts_schema.plan import Plan, make_plan
from contacts_schema.settings import Reference, Settings
from sandbox.made_up import column, facts, named, table

NOTES = table(2, "notes", "id", "contact_id")


def contacts() -> Table:
    return table(1, "contacts", "id", "workspace_id", column("phone", "text"))


def plan(*tables: Table, settings: Settings | None = None, **more) -> Plan:
    return make_plan(facts(*tables, **more), settings or Settings())


@pytest.mark.parametrize(
    ("name", "type_", "type_column", "suspect"),
    [
        ("contact_id", "bigint", None, True),
        ("contactId", "bigint", None, True),
        ("primary_contact_uuid", "bigint", None, True),
        ("contact_ids", "bigint[]", None, True),
        ("contact_id", "integer", None, True),
        ("contact_id", "uuid", None, False),
        ("contact_id", "text", None, False),
        ("contractor_id", "bigint", None, False),
        ("deal_id", "bigint", None, False),
        ("subject_id", "text", "subject_type", True),
        ("subject_id", "uuid", "subject_type", False),
    ],
)
def test_which_columns_are_suspect(name, type_, type_column, suspect):
    calls = table(2, "calls", "id", column(name, type_))

    found = plan(contacts(), calls, named_columns=(named(calls, name, type_column=type_column),))

    assert [s.column.column for s in found.suspects] == [name] * suspect


def test_no_suspect_where_something_is_known():
    """Not the key itself, nor a foreign key, nor what is declared or ignored."""
    target, calls, mails = contacts(), table(2, "calls", "contact_id"), table(3, "mails", "contact_id")
    columns = (
        named(target, "id", column="id"),
        named(NOTES, "contact_id", parents=(1,)),
        named(calls, "contact_id"),
        named(mails, "contact_id"),
    )
    settings = Settings(
        references=(Reference(table="calls", column="contact_id"),),
        ignore_references=(("public", "mails", "contact_id"),),
    )

    found = plan(target, calls, mails, named_columns=columns, settings=settings)

    assert found.suspects == ()


@pytest.mark.parametrize(
    ("table_name", "column_name"),
    [("companies", "company_id"), ("boxes", "box_id"), ("Contact", "contactId"), ("crm_contacts", "crm_contact_id")],
)
def test_names_of_tables_in_the_singular(table_name, column_name):
    target = table(1, table_name, "id", "workspace_id", "phone")
    calls = table(2, "calls", "key", column_name)

    found = plan(target, calls, named_columns=(named(calls, column_name),), settings=Settings(table=table_name))

    assert len(found.suspects) == 1


@pytest.mark.parametrize(
    ("table_name", "column_name"),
    [("people", "person_id"), ("salespeople", "salesperson_id"), ("children", "childId"), ("women", "woman_id")],
)
def test_irregular_plurals(table_name, column_name):
    target = table(1, table_name, "id", "workspace_id", column("phone", "text"))
    bonus = table(2, "bonus", "id", column_name)

    found = plan(target, bonus, settings=Settings(table=table_name), named_columns=(named(bonus, column_name),))

    assert [s.column.column for s in found.suspects] == [column_name]
