"""Facts and settings in, a plan or every reason out."""

from __future__ import annotations

import pytest

from contacts_schema.catalog.facts import PrivateSchema, Role, Table
from contacts_schema.errors import Reason
from contacts_schema.plan import Plan, default_order, make_plan
from contacts_schema.refusals import MERGING
from contacts_schema.settings import Reference, Settings
from sandbox.made_up import column, facts, foreign_key, index, table, trigger


def contacts(**more) -> Table:
    return table(1, "contacts", "id", "workspace_id", column("phone", "text"), "email", **more)


NOTES = table(2, "notes", "id", "contact_id")


def plan(*tables: Table, settings: Settings | None = None, **more) -> Plan:
    return make_plan(facts(*tables, **more), settings or Settings())


def told(found: Plan) -> list[tuple[str, str, str]]:
    return [(r.code, r.problem, r.way_on) for r in found.reasons]


def test_a_plan_is_a_value():
    found = plan(contacts(), settings=Settings(fill=("email",)))

    assert (found.key, found.fill, found.survivor_order, found.reasons) == ((2, 3), (4,), "", ())
    assert found == plan(contacts(), settings=Settings(fill=("email",)))


def test_without_the_table_there_is_no_plan():
    found = plan(similar=("public.contact", "crm.customers"))

    assert found.tree is None
    assert found.reasons == (
        Reason(
            code="no_table",
            problem='there is no table "public.contacts"; there is "public.contact"',
            way_on="set schema and table, or connect to another database",
        ),
    )


def test_nothing_else_is_said_while_columns_are_missing():
    found = plan(contacts(owned=False), settings=Settings(columns=("workspace", "phone")))

    assert told(found) == [
        ("no_column", '"public.contacts" has no column "workspace"', 'name one that it has, such as "workspace_id"')
    ]
    assert found.tree is None


@pytest.mark.parametrize(
    ("columns", "order"),
    [
        ([], ""),
        (["created_at"], '"created_at"'),
        (["deleted_at", "created_at", "created"], '("deleted_at" IS NOT NULL), "created_at"'),
        ([column("is_deleted", "boolean"), "inserted_at"], 'coalesce("is_deleted", false), "inserted_at"'),
        ([column("deleted", "text")], ""),
    ],
)
def test_the_order_of_survivors(columns, order):
    assert default_order(table(1, "contacts", "id", *columns)) == order
    assert plan(table(1, "contacts", "id", "workspace_id", "phone", *columns)).survivor_order == order


def test_the_users_order_wins():
    assert plan(contacts(), settings=Settings(survivor_order="email DESC")).survivor_order == "email DESC"


def with_index(**facts_of_index) -> Plan:
    columns = facts_of_index.pop("columns", (2, 3))
    return plan(contacts(indexes=[index("unique_phone_workspace", *columns, **facts_of_index)]))


@pytest.mark.parametrize(
    ("made", "constrained", "taken"),
    [
        ({"constraint": "unique_phone_workspace"}, True, False),
        ({"constraint": "unique_phone_workspace", "columns": (3, 2)}, True, False),
        ({}, False, False),
        ({"valid": False}, False, False),
        ({"columns": (3,)}, False, True),
        ({"columns": (2, 3, 4)}, False, True),
        ({"unique": False}, False, True),
        ({"predicate": "email IS NULL"}, False, True),
        ({"deferrable": True}, False, True),
        ({"nulls_not_distinct": True}, False, True),
        ({"included": (4,)}, False, True),
        ({"plain": False}, False, True),
    ],
)
def test_what_the_constraints_name_stands_for(made, constrained, taken):
    found = with_index(**made)

    problem = 'the name "unique_phone_workspace" is taken by an index of "public.contacts" with another meaning'
    assert found.constrained is constrained
    assert told(found) == (
        [("name_taken", problem, "rename or drop that, or give the constraint another name")] if taken else []
    )


@pytest.mark.parametrize(
    ("made", "serves"),
    [
        (index("i", 2, 3, unique=False), True),
        (index("i", 3, 2, 4, unique=False), True),
        (index("i", 4, 2, 3, unique=False), False),
        (index("i", 2, 3, valid=False), False),
        (index("i", 2, 3, predicate="email IS NULL"), False),
        (index("i", 2, 3, method="hash"), False),
    ],
)
def test_an_index_through_which_a_key_is_found(made, serves):
    found = plan(contacts(indexes=[made])).lookup_index

    assert found == (made if serves else None)


def test_citus_is_detected():
    assert told(plan(contacts(distributed=True)))[0] == (
        "distributed",
        '"public.contacts" is distributed by Citus, which is not supported yet',
        "nothing was changed; wait for a version that supports this, or merge by hand",
    )


def test_a_virtual_column_cannot_be_unique():
    virtual = table(1, "contacts", "id", "workspace_id", column("phone", "text", generated="v"))

    assert told(plan(virtual)) == [
        (
            "virtual",
            'column "phone" of "public.contacts" is virtual, and a unique constraint needs a stored one',
            "make it a stored column",
        )
    ]


def test_rights_that_a_run_needs_beside_the_table():
    role = Role(name="deployer", database="crm", can_create_schema=False, can_create_temp=False)

    found = plan(contacts(schema_create=False), role=role, private_schema=None)

    assert [way_on for _, _, way_on in told(found)] == [
        'GRANT CREATE ON SCHEMA "public" TO "deployer"',
        'GRANT CREATE ON DATABASE "crm" TO "deployer"',
        'GRANT TEMPORARY ON DATABASE "crm" TO "deployer"',
    ]


@pytest.mark.parametrize(("owned", "ours"), [(False, True), (True, False)])
def test_a_private_schema_of_somebody_else(owned, ours):
    found = plan(contacts(), private_schema=PrivateSchema(owned=owned, ours=ours))

    assert told(found) == [
        (
            "private_schema",
            'the schema "contacts_schema" is somebody else\'s',
            "set private_schema to a name that is free",
        )
    ]


def test_inherited_keys_of_partitions_are_left_to_their_root():
    events = table(2, "events", "id", "contact_id", kind="p")
    leaf = table(3, "events_1", "id", "contact_id", is_partition=True)
    keys = (foreign_key(events, [2], contacts()), foreign_key(leaf, [2], contacts(), inherited=True))

    found = plan(contacts(), events, leaf, foreign_keys=keys)

    assert found.tree is not None
    assert [node.table.name for node in found.tree.nodes] == ["contacts", "events"]
    assert found.reasons == ()


def test_a_declared_reference_of_another_type_is_cast():
    calls = table(2, "calls", "id", column("contact_id", "text"))
    reference = Reference(table="calls", column="contact_id", condition="id > 3")

    found = plan(contacts(), calls, settings=Settings(references=(reference,)))

    assert found.tree is not None
    (edge,) = found.tree.nodes[1].incoming
    assert (edge.declared, edge.condition, edge.pairs[0].cast) == (True, "id > 3", "text")
    assert edge.name == "calls.contact_id"


def test_a_child_gives_all_of_its_reasons():
    child = table(
        2,
        "notes",
        "id",
        "contact_id",
        rules=("log",),
        has_heirs=True,
        row_security_active=True,
        can_update=False,
        owned=False,
        pages=1000,
        triggers=(trigger("lo_manage"),),
    )
    key = foreign_key(child, [2], contacts(), triggers_enabled=False)

    found = plan(contacts(), child, foreign_keys=(key,))

    assert [code for code, _, _ in told(found)] == [
        "child_rights",
        "child_owner",
        "row_security",
        "inherits",
        "rule",
        "no_index",
        "disabled_foreign_key",
    ]


def test_what_concerns_merging_only_is_known_as_such():
    """Where nothing is to merge these do not matter; the rest would keep the constraint from coming about."""
    assert {"suspect", "collision", "rule", "rehearsal", "no_index"} <= MERGING
    assert not {"no_primary_key", "blank_phones", "name_taken", "rights", "not_owner"} & MERGING
