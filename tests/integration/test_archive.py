"""The private schema: closed to everybody else, typed as its sources, and remembered by what it was made from."""

from __future__ import annotations

import psycopg
import pytest

from contacts_schema.archive import Archive
from contacts_schema.catalog.read import find_table, read_tables
from contacts_schema.settings import Settings
from tests.migration.observed import execute, held, rows, value

SOURCE = """
    CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone varchar(20), score numeric(10, 2));
"""
OPEN_BY_DEFAULT = """
    CREATE ROLE archive_reader NOLOGIN;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO archive_reader, PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO archive_reader, PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO archive_reader, PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO archive_reader, PUBLIC;
"""
GRANTED = """
    SELECT relname FROM pg_class, aclexplode(relacl) AS given
    WHERE relnamespace = 'contacts_schema'::regnamespace AND given.grantee <> relowner
"""
UNPROTECTED = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'contacts_schema'::regnamespace AND relkind = 'r' AND NOT relrowsecurity
"""


@pytest.fixture
def connection(database_url):
    execute(database_url, SOURCE)
    with psycopg.connect(database_url, autocommit=True) as connected:
        yield connected


@pytest.fixture
def archive(connection):
    made = Archive(connection, "contacts_schema")
    made.ensure()
    return made


def source(connection):
    oid = find_table(connection, "public", "contacts")
    return read_tables(connection, [oid])[oid]


def test_it_is_there_once_it_was_made_and_may_be_made_twice(connection):
    archive = Archive(connection, "contacts_schema")
    assert not archive.exists()
    archive.ensure()
    archive.ensure()
    assert archive.exists()


def test_default_privileges_open_nothing_of_it(connection):
    connection.execute(OPEN_BY_DEFAULT)
    url = connection.info.dsn + f" password={connection.info.password}"
    try:
        archive = Archive(connection, "contacts_schema")
        archive.ensure()
        archive.archive_of(source(connection), ())

        assert rows(url, GRANTED) == []
        assert not value(url, "SELECT has_schema_privilege('archive_reader', 'contacts_schema', 'USAGE, CREATE')")
        assert rows(url, UNPROTECTED) == []
    finally:
        connection.execute("DROP OWNED BY archive_reader")
        connection.execute("DROP ROLE archive_reader")


def test_what_somebody_opened_is_closed_again(archive, connection):
    connection.execute("ALTER TABLE contacts_schema.op DISABLE ROW LEVEL SECURITY")
    connection.execute("GRANT SELECT ON contacts_schema.op TO PUBLIC")

    archive.ensure()

    url = connection.info.dsn + f" password={connection.info.password}"
    assert rows(url, UNPROTECTED) == []
    assert rows(url, GRANTED) == []


def test_somebody_who_reads_it_does_not_hold_a_run_up(archive, connection):
    connection.execute("SET lock_timeout = '50ms'")
    url = connection.info.dsn + f" password={connection.info.password}"
    with held(url, "SELECT FROM contacts_schema.op, contacts_schema.run, contacts_schema.relation, contacts_schema.batch"):
        archive.ensure()
        archive.archive_of(source(connection), ())


def test_an_archive_has_the_types_of_its_source(archive, connection):
    relation = archive.archive_of(source(connection), ())

    columns = """
        SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = format('contacts_schema.%%I', %s::text)::regclass AND attnum > 0 AND attname NOT LIKE '~%%'
    """
    assert dict(connection.execute(columns, [relation.name]).fetchall()) == {
        "id": "integer",
        "workspace_id": "integer",
        "phone": "character varying(20)",
        "score": "numeric(10,2)",
    }


def test_one_shape_has_one_archive_and_another_shape_another(archive, connection):
    first = archive.archive_of(source(connection), ())
    assert archive.archive_of(source(connection), ()) == first

    connection.execute("ALTER TABLE contacts ADD COLUMN email text")
    second = archive.archive_of(source(connection), ())
    assert second.name != first.name
    assert second.numbers == (1, 2, 3, 4, 5)

    connection.execute("ALTER TABLE contacts DROP COLUMN email")
    assert archive.archive_of(source(connection), ()) == first


def test_a_journal_is_made_for_the_columns_that_change(archive, connection):
    table = source(connection)
    journal = archive.journal_of(table, (2,), (2,))

    assert (journal.numbers, journal.moving) == ((2,), (2,))
    assert archive.journal_of(table, (2,), (2,)) == journal
    assert archive.journal_of(table, (3,), (3,)) != journal


def test_long_names_of_any_script_are_cut_where_a_character_ends(archive, connection):
    connection.execute(f'ALTER TABLE contacts RENAME TO "{"ß" * 31}"')
    oid = find_table(connection, "public", "ß" * 31)
    relation = archive.archive_of(read_tables(connection, [oid])[oid], ())

    there = connection.execute("SELECT count(*) FROM pg_class WHERE relname = %s", [relation.name]).fetchone()
    assert there == (1,)


def test_what_was_done_is_kept_in_the_order_it_was_done(archive, connection):
    table = source(connection)
    relation = archive.archive_of(table, ())
    run = archive.begin_run(table, Settings())

    ops = archive.begin_batch(
        run, [("move", [relation.id, relation.id]), ("archive", [relation.id]), ("fill", [relation.id])]
    )

    assert ops == sorted(ops)
    kinds = connection.execute("SELECT kind FROM contacts_schema.op ORDER BY id").fetchall()
    assert kinds == [("move",), ("archive",), ("fill",)]
    settings = connection.execute("SELECT settings ->> 'table' FROM contacts_schema.run").fetchone()
    assert settings == ("contacts",)
