"""What only the rows can tell: every refusal with its count, and nothing changed."""

from __future__ import annotations

import pytest

from sandbox.trial import CONTACTS, query, reasons, run

VALUES = """
    CREATE TABLE field_values (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, field text, value text,
        UNIQUE (contact_id, field));
    INSERT INTO field_values VALUES (1, 1, 'size', 'S'), (2, 2, 'size', 'M'), (3, 3, 'size', 'S'),
        (4, 5, 'size', 'L'), (5, 6, 'size', 'L');
"""


def told(url: str, **settings) -> list[tuple[str, str, str]]:
    return [(r.code, r.problem, r.way_on) for r in reasons(url, **settings)]


CASES = [
    pytest.param(
        "ALTER TABLE contacts ADD COLUMN referred_by bigint REFERENCES contacts CONSTRAINT not_by_itself CHECK"
        " (referred_by <> id); UPDATE contacts SET referred_by = 2 WHERE id IN (1, 4)",
        "check",
        'moving references would make 1 row of "public.contacts" violate "not_by_itself"',
        'change these rows by hand first, or drop "not_by_itself"',
        id="check of a reference to the own table",
    ),
    pytest.param(
        "CREATE TABLE vips (id int PRIMARY KEY, contact_id bigint REFERENCES contacts,"
        "CONSTRAINT no_founder CHECK (contact_id <> 1));"
        "INSERT INTO vips VALUES (1, 2), (2, 3), (3, 5), (4, 6)",
        "check",
        'moving references would make 2 rows of "public.vips" violate "no_founder"',
        'change these rows by hand first, or drop "no_founder"',
        id="check",
    ),
    pytest.param(
        "CREATE TABLE accounts (id bigint PRIMARY KEY); INSERT INTO accounts VALUES (2), (3), (5), (6);"
        "CREATE TABLE seats (id int PRIMARY KEY, holder bigint REFERENCES contacts CONSTRAINT account REFERENCES accounts);"
        "INSERT INTO seats VALUES (1, 2), (2, 3), (3, 5), (4, 6), (5, NULL)",
        "foreign_key",
        'moving references would make 2 rows of "public.seats" violate "account"',
        'change these rows by hand first, or drop "account"',
        id="foreign key to another table over the same column",
    ),
    pytest.param(
        "CREATE TABLE visits (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, at int4range,"
        "CONSTRAINT one_at_a_time EXCLUDE USING gist (int8range(contact_id, contact_id, '[]') WITH =, at WITH &&));"
        "INSERT INTO visits VALUES"
        "(1, 1, '[1,5)'), (2, 2, '[3,7)'), (3, 3, '[6,9)'), (4, 5, '[1,2)'), (5, 6, '[2,3)')",
        "exclusion",
        'moving references would make 2 rows of "public.visits" violate "one_at_a_time"',
        'change these rows by hand first, or drop "one_at_a_time"',
        id="exclusion",
    ),
    pytest.param(
        "ALTER TABLE contacts ADD COLUMN code text UNIQUE; UPDATE contacts SET code = 'x' || id WHERE id <> 1;"
        "CREATE TABLE cards (id int PRIMARY KEY, code text REFERENCES contacts (code));"
        "INSERT INTO cards VALUES (1, 'x2'), (2, 'x3'), (3, 'x6')",
        "survivor_without_key",
        'in 2 rows of "public.cards" a reference holds a key of a duplicate that its survivor lacks',
        "give the survivors that key, or choose others by survivor_order",
        id="survivor without the referenced key",
    ),
    pytest.param(
        "CREATE TABLE accounts (id bigint PRIMARY KEY, contact_id bigint UNIQUE REFERENCES contacts);"
        "INSERT INTO accounts VALUES (3, 1), (2, 2);"
        "CREATE TABLE logins (id int PRIMARY KEY, both_id bigint REFERENCES contacts REFERENCES accounts);"
        "INSERT INTO logins VALUES (1, 2), (2, 3)",
        "contradiction",
        'in 2 rows of "public.logins" references share a column and would need different values in it',
        "change these rows by hand so that their references agree, or drop one of the references",
        id="contradictory references",
    ),
    pytest.param(
        "CREATE TABLE accounts (id bigint PRIMARY KEY, contact_id bigint UNIQUE REFERENCES contacts);"
        "INSERT INTO accounts VALUES (1, NULL), (2, 4);"
        "CREATE TABLE logins (id int PRIMARY KEY, both_id bigint REFERENCES contacts REFERENCES accounts);"
        "INSERT INTO logins VALUES (1, 2), (2, 1)",
        "contradiction",
        'in 1 row of "public.logins" references share a column and would need different values in it',
        "change these rows by hand so that their references agree, or drop one of the references",
        id="references of which one alone moves",
    ),
    pytest.param(
        "CREATE TABLE accounts (id bigint PRIMARY KEY, contact_id bigint UNIQUE REFERENCES contacts);"
        "INSERT INTO accounts VALUES (1, 1), (2, 2);"
        "ALTER TABLE contacts ADD COLUMN account_id bigint REFERENCES accounts;"
        "UPDATE contacts SET account_id = 2 WHERE id IN (4, 5)",
        "cycle",
        'references run in a circle: in 2 rows further up one leads to a row of "public.accounts" that would be merged',
        'merge the colliding rows of "public.accounts" by hand first',
        id="circle",
    ),
    pytest.param(
        "ALTER TABLE contacts ADD COLUMN referred_by bigint REFERENCES contacts;"
        "ALTER TABLE contacts ADD UNIQUE (referred_by, name);"
        "UPDATE contacts SET referred_by = 2 WHERE id IN (4, 5)",
        "own_collision",
        'in 2 rows of "public.contacts" a column of a unique key refers to a duplicate of the same table',
        "change these references by hand first",
        id="self-reference in a unique key",
    ),
    pytest.param(
        "CREATE TABLE tags (contact_id bigint REFERENCES contacts, tag text, UNIQUE (contact_id, tag));"
        "INSERT INTO tags VALUES (1, 'vip'), (2, 'vip'), (3, 'new')",
        "keyless_child",
        '1 row of "public.tags" would collide under a unique key, and without a primary key they could not be told apart',
        'give "public.tags" a primary key',
        id="keyless child that collides",
    ),
    pytest.param(
        "CREATE TABLE events (id int, contact_id bigint REFERENCES contacts, PRIMARY KEY (id, contact_id))"
        "PARTITION BY LIST (contact_id); CREATE TABLE events_23 PARTITION OF events FOR VALUES IN (2, 3);"
        "INSERT INTO events VALUES (1, 2), (2, 3)",
        "missing_partition",
        'moving references would leave 2 rows of "public.events" without a partition to be in',
        "add the partitions that the survivors' keys need, or a default one",
        id="missing partition",
    ),
    pytest.param(
        VALUES,
        "collision",
        '1 row of "public.field_values" would collide with another row under a unique key and say different things',
        "change them by hand, or set collisions = public.field_values=merge to keep the survivor's rows and archive the "
        "others",
        id="children that collide and differ",
    ),
    pytest.param(
        "INSERT INTO contacts VALUES (20, 1, '', 'x'), (21, 1, E' \\t\\n', 'y')",
        "blank_phones",
        '"phone" is blank in 2 rows of "public.contacts": blanks are no duplicates of each other, and the constraint '
        "would allow one a workspace",
        "set blank_phones = null to turn them into NULL and to go on doing so, or clean them by hand",
        id="blank phones",
    ),
]


@pytest.mark.parametrize(("setup", "code", "problem", "way_on"), CASES)
def test_refused(database_url, setup, code, problem, way_on):
    run(database_url, CONTACTS, setup)

    assert told(database_url) == [(code, problem, way_on)]


def test_a_choice_settles_children_that_differ(database_url):
    run(database_url, CONTACTS, VALUES)

    assert told(database_url, collisions=((None, "field_values", "merge"),)) == []
    rows = query(database_url, "SELECT id, contact_id, value FROM field_values ORDER BY id")
    assert rows == [(1, 1, "S"), (4, 5, "L")]


def test_a_choice_to_refuse_is_the_default_said_aloud(database_url):
    run(database_url, CONTACTS, VALUES)

    (found,) = told(database_url, collisions=((None, "field_values", "refuse"),))

    assert found[0] == "collision"


def test_a_keyless_child_that_does_not_collide_is_moved(database_url):
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE tags (contact_id bigint REFERENCES contacts, tag text, UNIQUE (contact_id, tag));"
        "INSERT INTO tags VALUES (1, 'vip'), (2, 'new')",
    )

    assert told(database_url) == []
    assert query(database_url, "SELECT * FROM tags ORDER BY tag") == [(1, "new"), (1, "vip")]


def test_blanks_that_cannot_become_null(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text NOT NULL);"
        "INSERT INTO contacts VALUES (1, 1, ''), (2, 1, ' ')",
    )

    assert told(database_url, blank_phones="null") == [
        (
            "blank_not_null",
            '"phone" is blank in 2 rows of "public.contacts" and cannot become NULL: it is NOT NULL',
            'ALTER TABLE "public"."contacts" ALTER COLUMN "phone" DROP NOT NULL',
        )
    ]
