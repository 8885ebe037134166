"""The user's functions find what they find for the application: in triggers, CHECKs and generated columns."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from sandbox.snapshot import difference, snapshot
from sandbox.structure import structure
from sandbox.trial import CONTACTS, query, run
from tests.operator.scripts import DOWN, UP, paste, rendered

# As on Supabase: what extensions bring is in a schema of its own, and the database's search_path names it.
LAYOUT = """
    CREATE SCHEMA extensions;
    CREATE FUNCTION extensions.bare(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
    CREATE FUNCTION public.plain(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN bare($1); END';
"""
USES = {
    "a check": "ALTER TABLE contacts ADD CHECK (plain(name) <> 'nobody')",
    "a generated column": "ALTER TABLE contacts ADD plain text GENERATED ALWAYS AS (plain(name)) STORED",
    "a trigger": """
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.note := bare(NEW.note); RETURN NEW; END';
        CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, note text);
        INSERT INTO notes VALUES (1, 2, 'Hello');
        CREATE TRIGGER stamp BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION stamp();
    """,
}


@pytest.fixture
def url(database_url):
    name = make_url(database_url).database
    run(database_url, LAYOUT, f"ALTER DATABASE {name} SET search_path = public, extensions")
    run(database_url, CONTACTS)
    return database_url


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("by_script", [False, True])
def test_up_and_down(migrate_plain, url, use, by_script):
    run(url, USES[use])
    before, made = snapshot(url), structure(url)

    if by_script:
        paste(url, rendered(url, *UP, CONTACTS_SCHEMA_REFERENCES=""))
        assert difference(before, snapshot(url))
        paste(url, rendered(url, *DOWN, CONTACTS_SCHEMA_REFERENCES=""))
    else:
        migrate_plain(url, "upgrade", "head")
        assert difference(before, snapshot(url))
        migrate_plain(url, "downgrade", "base")

    assert difference(before, snapshot(url)) == []
    run(url, "DROP TABLE alembic_version")
    assert structure(url) == made


def test_names_of_the_servers_own_stay_first(migrate_plain, url):
    """A path may name pg_catalog last, and then what stands before it counts: not for us."""
    name = make_url(url).database
    run(
        url,
        "CREATE SCHEMA app; CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts);"
        "INSERT INTO notes VALUES (1, 2), (2, 4), (3, 6);"
        "CREATE FUNCTION app.never(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';"
        "CREATE OPERATOR app.= (FUNCTION = app.never, LEFTARG = bigint, RIGHTARG = bigint);"
        "CREATE FUNCTION app.nextval(text) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not me'; END$$;",
        f"ALTER DATABASE {name} SET search_path = app, public, pg_catalog",
    )
    before = snapshot(url)

    migrate_plain(url, "upgrade", "head")
    assert query(url, "SELECT contact_id FROM public.notes ORDER BY id") == [(1,), (4,), (5,)]
    migrate_plain(url, "downgrade", "base")

    assert difference(before, snapshot(url)) == []


@pytest.mark.parametrize("by_script", [False, True])
def test_an_overload_elsewhere_in_the_path_is_not_taken_for_the_function_that_is_meant(migrate_plain, url, by_script):
    """Of two names alike the better match counts, wherever it is in the path: an expression names the function's schema."""
    name = make_url(url).database
    run(
        url,
        "CREATE SCHEMA app; CREATE TABLE notes (id int PRIMARY KEY, contact_id bigint REFERENCES contacts, note text);"
        "INSERT INTO notes VALUES (1, 1, 'Hello'), (2, 2, 'HELLO'), (3, 2, 'Bye');"
        "CREATE FUNCTION public.meant(anyelement) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "CREATE FUNCTION app.meant(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';"
        "CREATE FUNCTION public.form(anyelement) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text)';"
        "CREATE FUNCTION app.form(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
        "ALTER TABLE contacts ADD CHECK (public.meant(name)) NOT VALID;"
        "CREATE UNIQUE INDEX ON notes (contact_id, public.form(note));",
        f"ALTER DATABASE {name} SET search_path = public, app",
    )
    before = snapshot(url)

    if by_script:
        paste(url, rendered(url, *UP, CONTACTS_SCHEMA_REFERENCES="", CONTACTS_SCHEMA_COLLISIONS="notes=merge"))
    else:
        migrate_plain(url, "upgrade", "head", CONTACTS_SCHEMA_COLLISIONS="notes=merge")
    assert query(url, "SELECT note FROM notes ORDER BY id") == [("Hello",), ("Bye",)]
    migrate_plain(url, "downgrade", "base")

    assert difference(before, snapshot(url)) == []


def test_an_overload_of_a_built_in_name_is_not_taken_for_it(migrate_plain, url):
    """As intarray brings operators that fit int[] better than the server's own do, which a CHECK of before goes on using."""
    name = make_url(url).database
    run(
        url,
        "ALTER TABLE contacts ADD flags int[] NOT NULL DEFAULT '{1}';"
        "ALTER TABLE contacts ADD CHECK (NOT flags @> ARRAY[9]) NOT VALID, ADD CHECK (cardinality(flags) = 1) NOT VALID;"
        "CREATE FUNCTION extensions.contains(int[], int[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "CREATE OPERATOR extensions.@> (FUNCTION = extensions.contains, LEFTARG = int[], RIGHTARG = int[]);"
        "CREATE FUNCTION public.cardinality(int[]) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0'",
        f"ALTER DATABASE {name} SET search_path = public, extensions",
    )
    before = snapshot(url)

    migrate_plain(url, "upgrade", "head")
    assert difference(before, snapshot(url))
    migrate_plain(url, "downgrade", "base")

    assert difference(before, snapshot(url)) == []
