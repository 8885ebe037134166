"""What only a trial batch can tell: triggers that forbid, swallow or redirect what a merge does; nothing is changed."""

from __future__ import annotations

import pytest

from sandbox.trial import CONTACTS, merge, query, reasons, run

NOTES = """
    CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts ON DELETE CASCADE, body text);
    INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 5, 'c'), (4, 6, 'd');
"""
VALUES = """
    CREATE TABLE field_values (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, field text, value text,
        UNIQUE (contact_id, field));
    INSERT INTO field_values VALUES (1, 1, 'size', 'S'), (2, 2, 'size', 'M'), (3, 3, 'size', 'S'),
        (4, 5, 'size', 'L'), (5, 6, 'size', 'L');
"""


def told(url: str, **settings) -> list[tuple[str, str, str]]:
    return [(r.code, r.problem, r.way_on) for r in reasons(url, **settings)]


def function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"


CASES = [
    pytest.param(
        "ALTER TABLE contacts ADD COLUMN picture oid;" + function("lo_manage", "RETURN OLD;") + "CREATE TRIGGER unlink"
        " BEFORE UPDATE OR DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION lo_manage('picture')",
        "trigger",
        'the trigger "unlink" on "public.contacts" unlinks a large object with its row, and the object could not be '
        "brought back",
        'ALTER TABLE "public"."contacts" DISABLE TRIGGER "unlink" for the merge',
        id="lo_manage",
    ),
    pytest.param(
        function("no", "RAISE 'never %', OLD.phone;")
        + "CREATE TRIGGER forbid BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION no()",
        "rehearsal",
        'a trial batch, rolled back, failed at "public.contacts" (SQLSTATE P0001); the trigger "forbid" may be why',
        'let "forbid" pass what a merge does, or disable it for the merge',
        id="trigger that forbids",
    ),
    pytest.param(
        function("no", "RETURN NULL;") + "CREATE TRIGGER keep BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION no()",
        "rehearsal",
        'a trial batch, rolled back, changed or removed 0 rows of "public.contacts" instead of 3; '
        'the trigger "keep" may be why',
        'let "keep" pass what a merge does, or disable it for the merge',
        id="trigger that swallows",
    ),
    pytest.param(
        NOTES
        + function("no", "RETURN NULL;")
        + "CREATE TRIGGER still BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION no()",
        "rehearsal",
        'a trial batch, rolled back, changed or removed 0 rows of "public.notes" instead of 2; '
        'the trigger "still" may be why',
        'let "still" pass what a merge does, or disable it for the merge',
        id="trigger that swallows a child's update",
    ),
    pytest.param(
        "ALTER TABLE contacts ADD deleted_at timestamptz;"
        + function("soft", "UPDATE contacts SET deleted_at = now() WHERE id = OLD.id; RETURN NULL;")
        + "CREATE TRIGGER soft BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION soft()",
        "rehearsal",
        'a trial batch, rolled back, changed or removed 0 rows of "public.contacts" instead of 3; '
        'the trigger "soft" may be why',
        'let "soft" pass what a merge does, or disable it for the merge',
        id="trigger that deletes softly",
    ),
    pytest.param(
        NOTES
        + function("sweep", "DELETE FROM notes WHERE body = 'a'; RETURN NULL;")
        + "CREATE TRIGGER sweep AFTER DELETE ON contacts FOR EACH STATEMENT EXECUTE FUNCTION sweep()",
        "rehearsal",
        'a trial batch, rolled back, changed or removed 1 row of "public.notes" instead of 0; '
        'the trigger "sweep" may be why',
        'let "sweep" pass what a merge does, or disable it for the merge',
        id="trigger that removes other rows",
    ),
]


@pytest.mark.parametrize(("setup", "code", "problem", "way_on"), CASES)
def test_refused(database_url, setup, code, problem, way_on):
    run(database_url, CONTACTS, setup)

    assert told(database_url) == [(code, problem, way_on)]


def test_a_fill_that_a_check_rejects(database_url):
    run(
        database_url,
        CONTACTS,
        "ALTER TABLE contacts ADD email text, ADD CONSTRAINT founder CHECK (id > 1 OR email IS NULL);"
        "UPDATE contacts SET email = 'a@example.com' WHERE id = 2",
    )

    assert told(database_url, fill=("email",)) == [
        (
            "rehearsal",
            'a trial batch, rolled back, failed at "public.contacts" on "founder" (SQLSTATE 23514)',
            "change the rows that it objects to by hand first, or drop it",
        )
    ]


def test_reasons_of_rows_and_of_a_trial_come_together(database_url):
    run(
        database_url,
        CONTACTS,
        VALUES + function("no", "RETURN NULL;") + "CREATE TRIGGER keep BEFORE DELETE ON contacts FOR EACH ROW"
        " EXECUTE FUNCTION no(); INSERT INTO contacts VALUES (20, 1, '', 'blank')",
    )

    assert [code for code, _, _ in told(database_url)] == ["blank_phones", "collision", "rehearsal"]


def test_triggers_that_let_a_merge_pass_are_no_reason(database_url):
    run(
        database_url,
        CONTACTS,
        NOTES
        + "CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, what text);"
        + function("note", "INSERT INTO log (what) VALUES (TG_OP); RETURN NULL;")
        + "CREATE TRIGGER note AFTER DELETE OR UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE TRIGGER note AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION note()",
    )

    merge(database_url)

    assert query(database_url, "SELECT what, count(*) FROM log GROUP BY what ORDER BY what") == [
        ("DELETE", 3),
        ("UPDATE", 2),
    ]
