"""Which tables a merge reaches, and what may happen to the rows of each."""

from __future__ import annotations

import pytest

from contacts_schema.catalog.facts import Table
from contacts_schema.merge.growth import grow
from contacts_schema.merge.tree import Edge, Pair, Tree
from sandbox.made_up import EQUAL, check, column, index, table, trigger

CONTACTS = table(1, "contacts", "id", "workspace_id", column("phone", "text"), "referred_by")
KEY = (2, 3)


def edge(child: Table, columns: dict[int, int], parent: Table = CONTACTS, **more) -> Edge:
    """A reference by the child's columns to the parent's."""
    pairs = tuple(Pair(child=c, parent=p, equality=EQUAL) for c, p in columns.items())
    return Edge(name=f"{child.name} -> {parent.name}", child=child.oid, parent=parent.oid, pairs=pairs, **more)


def tree(*edges: Edge, tables: tuple[Table, ...]) -> Tree:
    return grow(CONTACTS, KEY, {t.oid: t for t in (CONTACTS, *tables)}, edges)


def names(found: Tree) -> list[str]:
    return [node.table.name for node in found.nodes]


def test_a_table_alone():
    found = tree(tables=())

    assert names(found) == ["contacts"]
    assert (found.root.is_root, found.root.merges, found.root.changed, found.root.kept) == (True, True, (), (1,))
    assert found.cycles == ()


def test_a_child_whose_rows_just_move():
    notes = table(2, "notes", "id", "contact_id")
    found = tree(edge(notes, {2: 1}), tables=(notes,))

    node = found.by_table[2]
    assert (node.merges, node.moved, node.plain, node.key_changes) == (False, (2,), True, False)
    assert found.root.outgoing == node.incoming
    assert node.kept == (1, 2)


def test_grandchildren_are_reached_only_through_what_changes_or_merges():
    """Notes move but keep their own ids, so their lines have nothing to fear."""
    notes = table(2, "notes", "id", "contact_id")
    lines = table(3, "lines", "id", "note_id")

    found = tree(edge(notes, {2: 1}), edge(lines, {2: 1}, notes), tables=(notes, lines))

    assert names(found) == ["contacts", "notes"]


def test_rows_under_a_unique_key_may_merge_and_their_children_follow():
    talks = table(2, "talks", "id", "contact_id", "channel", indexes=[index("one_a_channel", 2, 3)])
    lines = table(3, "lines", "id", "talk_id")

    found = tree(edge(talks, {2: 1}), edge(lines, {2: 1}, talks), tables=(talks, lines))

    assert names(found) == ["contacts", "talks", "lines"]
    talk, line = found.nodes[1:]
    assert (talk.merges, [i.name for i in talk.uniques], talk.plain) == (True, ["one_a_channel"], False)
    assert (line.merges, line.moved, line.plain) == (False, (2,), True)


def test_a_key_that_is_the_reference_moves_and_who_holds_it_moves_with_it():
    """In one statement: a table that follows a moving key is never plain."""
    profiles = table(2, "profiles", "contact_id", "bio")
    links = table(3, "links", "id", "profile_id")

    found = tree(edge(profiles, {1: 1}), edge(links, {2: 1}, profiles), tables=(profiles, links))

    profile, link = found.nodes[1:]
    assert (profile.merges, profile.changed, profile.key_changes, profile.plain) == (True, (1,), True, False)
    assert (link.changed, link.plain) == ((2,), False)


def test_columns_of_the_key_do_not_move():
    tasks = table(2, "tasks", "id", "workspace_id", "contact_id")

    found = tree(edge(tasks, {2: 2, 3: 1}), tables=(tasks,))

    assert found.by_table[2].moved == (3,)


def test_a_reference_that_consists_of_key_columns_reaches_nothing():
    limits = table(2, "limits", "id", "workspace_id")

    assert names(tree(edge(limits, {2: 2}), tables=(limits,))) == ["contacts"]


def test_references_to_the_own_table():
    found = tree(edge(CONTACTS, {4: 1}), tables=())

    root = found.root
    assert (len(root.own), root.own_moved, root.moved, root.incoming) == (1, (4,), (), ())
    assert root.changed == (4,)


def test_parents_come_before_children_whatever_the_way():
    """Lines hang on the contacts and on talks and notes, which hang on them too."""
    talks = table(2, "talks", "id", "contact_id", indexes=[index("one", 2)])
    notes = table(3, "notes", "id", "talk_id", indexes=[index("two", 2)])
    lines = table(4, "lines", "id", "contact_id", "talk_id", "note_id")

    found = tree(
        edge(lines, {2: 1}),
        edge(lines, {3: 1}, talks),
        edge(lines, {4: 1}, notes),
        edge(notes, {2: 1}, talks),
        edge(talks, {2: 1}),
        tables=(talks, notes, lines),
    )

    assert names(found) == ["contacts", "talks", "notes", "lines"]
    assert found.nodes[3].moved == (2, 3, 4)
    assert found.cycles == ()


def test_a_circle_is_set_aside():
    accounts = table(2, "accounts", "id", "contact_id", indexes=[index("one", 2)])
    back = edge(CONTACTS, {4: 1}, accounts)

    found = tree(edge(accounts, {2: 1}), back, tables=(accounts,))

    assert names(found) == ["contacts", "accounts"]
    assert found.cycles == (back,)


@pytest.mark.parametrize(
    ("made", "merges"),
    [
        pytest.param(index("i", 2, 3), True, id="unique"),
        pytest.param(index("i", 2, 3, valid=False), True, id="invalid, but enforcing"),
        pytest.param(index("i", 2, 3, valid=False, ready=False), False, id="dead"),
        pytest.param(index("i", 2, 3, unique=False), False, id="not unique"),
        pytest.param(index("i", 3), False, id="over another column"),
        pytest.param(index("i", 3, mentions=(2,), predicate="contact_id > 0"), True, id="in the predicate"),
        pytest.param(index("i", 0, mentions=(2,)), True, id="in an expression"),
        pytest.param(index("i", 2, 3, unique=False, exclusion=True), False, id="exclusion"),
        pytest.param(index("i", 4), True, id="over a generated column"),
    ],
)
def test_which_indexes_make_rows_merge(made, merges):
    tags = table(2, "tags", "id", "contact_id", "tag", column("code", generated="s"), indexes=[made])

    node = tree(edge(tags, {2: 1}), tables=(tags,)).by_table[2]

    assert node.merges is merges
    assert bool(node.exclusions) is made.exclusion


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(table(2, "notes", "id", "contact_id", checks=(check("c", 2),)), id="check"),
        pytest.param(table(2, "notes", "id", "contact_id", kind="p", partitioned_by=(2,)), id="partitioned by it"),
        pytest.param(table(2, "notes", "id", "contact_id", kind="p", partitioned_by=(0,)), id="by an expression"),
        pytest.param(
            table(2, "notes", "id", "contact_id", indexes=[index("x", 2, unique=False, exclusion=True)]), id="exclusion"
        ),
    ],
)
def test_what_must_be_worked_out_is_not_plain(made):
    assert not tree(edge(made, {2: 1}), tables=(made,)).by_table[2].plain


def test_two_references_in_a_row_are_not_plain():
    deals = table(2, "deals", "id", "buyer", "seller")

    node = tree(edge(deals, {2: 1}), edge(deals, {3: 1}), tables=(deals,)).by_table[2]

    assert (node.plain, node.moved, len(node.incoming)) == (False, (2, 3), 2)


def test_content_is_what_a_row_says():
    """Identity, references, surrogates, generated columns and bookkeeping of time say nothing."""
    tags = table(
        2,
        "tags",
        "id",
        "contact_id",
        column("tag", "text"),
        column("created_at", "timestamp with time zone"),
        column("updated_on", "date"),
        column("due_at", "timestamp with time zone"),
        column("token", "uuid", default="gen_random_uuid()"),
        column("number", default="nextval('s'::regclass)"),
        column("position", identity="d"),
        column("shown", "text", generated="s", default="tag"),
        column("created", "text"),
        indexes=[index("i", 2, 3)],
    )
    node = tree(edge(tags, {2: 1}), tables=(tags,)).by_table[2]

    assert tags.names(node.content) == "tag, due_at, created"


@pytest.mark.parametrize(
    ("made", "stamped"),
    [
        (trigger("t"), True),
        (trigger("t", enabled="D"), False),
        (trigger("t", before=False), False),
        (trigger("t", row=False), False),
        (trigger("t", on_update=False), False),
    ],
)
def test_a_trigger_may_stamp_what_is_updated(made, stamped):
    notes = table(2, "notes", "id", "contact_id", triggers=(made,))

    assert tree(edge(notes, {2: 1}), tables=(notes,)).by_table[2].stamped is stamped
