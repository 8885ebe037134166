"""The guard against real second connections: it answers as the unique index would, or makes the transaction try again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.errors import InsufficientPrivilege, SerializationFailure, UniqueViolation

from contacts_schema.archive import Archive
from contacts_schema.catalog.read import read_facts
from contacts_schema.guard import Guard
from contacts_schema.plan import make_plan
from contacts_schema.report import Silent
from contacts_schema.settings import Settings
from tests.migration.observed import eventually, rows, value

STRICT = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
TABLE = """
    CREATE TABLE contacts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workspace_id int, phone {type}, note text);
    CREATE INDEX by_key ON contacts (workspace_id, phone);
"""
INSERT = "INSERT INTO contacts (workspace_id, phone) VALUES (%s, %s)"
DUPLICATES = """
    SELECT workspace_id, phone FROM contacts WHERE workspace_id IS NOT NULL AND phone IS NOT NULL
    GROUP BY workspace_id, phone HAVING count(*) > 1
"""


def put_up(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        guard(connection).ensure()


def guard(connection: psycopg.Connection[Any]) -> Guard:
    settings = Settings()
    plan = make_plan(read_facts(connection, settings), settings)
    assert plan.target is not None
    Archive(connection, settings.private_schema).ensure()
    return Guard(connection=connection, settings=settings, table=plan.target, key=plan.key, progress=Silent())


@pytest.fixture
def url(database_url):
    """A database whose table of contacts is guarded and holds one contact."""
    with psycopg.connect(database_url) as connection:
        connection.execute(TABLE.format(type="text"))
        connection.execute(INSERT, [1, "+1"])
    put_up(database_url)
    return database_url


@pytest.fixture
def writer(url):
    """Opens further connections."""
    with ExitStack() as stack:

        def connect(level: IsolationLevel | None = None) -> psycopg.Connection[Any]:
            connection: psycopg.Connection[Any] = stack.enter_context(psycopg.connect(url))
            connection.isolation_level = level
            stack.callback(connection.rollback)
            return connection

        yield connect


@contextmanager
def meanwhile(connection: psycopg.Connection[Any], statement: str, *values: Any) -> Iterator[list[Exception | None]]:
    """Run a statement that waits for another session; go on once it waits; at the end it is over, its error in the list."""
    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            connection.execute(statement, values)
            connection.commit()
        except psycopg.Error as error:
            connection.rollback()
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    waiting = f"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {connection.info.backend_pid} AND NOT granted)"
    try:
        with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as watcher:
            eventually(lambda: watcher.execute(waiting).fetchone() == (True,), "the wait", unless=lambda: bool(outcome))
        yield outcome
    finally:
        thread.join()


def test_a_duplicate_is_rejected_as_by_the_constraint(url, writer):
    with pytest.raises(UniqueViolation) as error:
        writer().execute(INSERT, [1, "+1"])

    found = error.value.diag
    assert (found.constraint_name, found.schema_name, found.table_name) == ("unique_phone_workspace", "public", "contacts")
    assert found.message_primary == 'duplicate key value violates unique constraint "unique_phone_workspace"'
    assert "+1" not in str(error.value)


@pytest.mark.parametrize("key", [(2, "+1"), (1, "+2"), (1, None), (None, "+1"), (1, "+1 ")])
def test_everything_else_is_allowed_twice_where_it_is_no_key(url, writer, key):
    connection = writer()
    connection.execute(INSERT, key)
    if None in key:
        connection.execute(INSERT, key)
    connection.commit()


def test_of_two_inserts_that_race_the_second_waits_and_loses(url, writer):
    first = writer()
    first.execute(INSERT, [1, "+2"])
    with meanwhile(writer(), INSERT, 1, "+2") as outcome:
        first.commit()

    assert isinstance(outcome[0], UniqueViolation)
    assert rows(url, DUPLICATES) == []


def test_of_two_inserts_that_race_the_second_wins_where_the_first_rolls_back(url, writer):
    first = writer()
    first.execute(INSERT, [1, "+2"])
    with meanwhile(writer(), INSERT, 1, "+2") as outcome:
        first.rollback()

    assert outcome == [None]
    assert value(url, "SELECT count(*) FROM contacts WHERE phone = '+2'") == 1


def test_inserts_race_for_a_key_that_somebody_had_before(url, writer):
    first = writer()
    for statement in (INSERT, "DELETE FROM contacts WHERE workspace_id = %s AND phone = %s"):
        first.execute(statement, [1, "+2"])
        first.commit()
    first.execute(INSERT, [1, "+2"])
    with meanwhile(writer(), INSERT, 1, "+2") as outcome:
        first.commit()

    assert isinstance(outcome[0], UniqueViolation)
    assert rows(url, DUPLICATES) == []


@pytest.mark.parametrize("level", STRICT, ids=lambda level: level.name.lower())
def test_at_stricter_levels_the_second_has_to_try_again(url, writer, level):
    first, second = writer(level), writer(level)
    second.execute("SELECT")
    first.execute(INSERT, [1, "+2"])
    with meanwhile(second, INSERT, 1, "+2") as outcome:
        first.commit()

    assert isinstance(outcome[0], SerializationFailure)
    with pytest.raises(UniqueViolation):
        second.execute(INSERT, [1, "+2"])


@pytest.mark.parametrize(
    "way", ["DELETE FROM contacts WHERE phone = '+1'", "UPDATE contacts SET phone = '+2' WHERE phone = '+1'"]
)
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_an_insert_waits_for_who_is_about_to_give_the_key_up(url, writer, way, ending):
    first = writer()
    first.execute(way)
    with meanwhile(writer(), INSERT, 1, "+1") as outcome:
        getattr(first, ending)()

    assert (outcome[0] is None) == (ending == "commit")
    assert rows(url, DUPLICATES) == []


@pytest.mark.parametrize("level", STRICT, ids=lambda level: level.name.lower())
def test_at_stricter_levels_who_waits_for_a_key_to_be_given_up_has_to_try_again(url, writer, level):
    first, second = writer(), writer(level)
    second.execute("SELECT FROM contacts")
    first.execute("DELETE FROM contacts WHERE phone = '+1'")
    with meanwhile(second, INSERT, 1, "+1") as outcome:
        first.commit()

    assert isinstance(outcome[0], SerializationFailure)


def test_updates_to_one_key_race_like_inserts(url, writer):
    with psycopg.connect(url) as connection:
        connection.execute(INSERT, [1, "+8"])
        connection.execute(INSERT, [1, "+9"])
    first = writer()
    first.execute("UPDATE contacts SET phone = '+2' WHERE phone = '+8'")
    with meanwhile(writer(), "UPDATE contacts SET phone = '+2' WHERE phone = '+9'") as outcome:
        first.commit()
    assert isinstance(outcome[0], UniqueViolation)

    second = writer()
    second.execute("UPDATE contacts SET phone = '+3' WHERE phone = '+9'")
    with meanwhile(writer(), INSERT, 1, "+3") as outcome:
        second.commit()
    assert isinstance(outcome[0], UniqueViolation)
    assert rows(url, DUPLICATES) == []


@pytest.mark.parametrize("level", STRICT, ids=lambda level: level.name.lower())
def test_a_snapshot_older_than_the_guard_is_told_to_try_again(database_url, level):
    with psycopg.connect(database_url) as connection:
        connection.execute(TABLE.format(type="text"))
    with psycopg.connect(database_url) as old:
        old.isolation_level = level
        old.execute("SELECT")
        # No claim was made for this one: only the age of the snapshot tells that it may be missing from it.
        with psycopg.connect(database_url) as other:
            other.execute(INSERT, [1, "+2"])
        put_up(database_url)

        with pytest.raises(SerializationFailure):
            old.execute(INSERT, [1, "+2"])
        old.rollback()
        with pytest.raises(UniqueViolation):
            old.execute(INSERT, [1, "+2"])


def test_twenty_thousand_rows_in_one_statement_do_not_fill_the_lock_table(url, writer):
    bulk = "INSERT INTO contacts (workspace_id, phone) SELECT 2, n::text FROM generate_series(1, 20000) AS n"
    connection = writer()
    connection.execute(bulk)
    held = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
    assert connection.execute(held).fetchone()[0] < 50
    connection.commit()

    with pytest.raises(UniqueViolation):
        connection.execute(bulk)
    assert value(url, "SELECT count(*) FROM contacts WHERE workspace_id = 2") == 20000


@pytest.mark.parametrize("phones", [["+2", "+3", "+2"], ["+2", "+1"]], ids=["between its own rows", "with a row there is"])
def test_copy_is_all_or_nothing(url, writer, phones):
    connection = writer()
    with pytest.raises(UniqueViolation), connection.cursor().copy("COPY contacts (workspace_id, phone) FROM STDIN") as copy:
        for phone in phones:
            copy.write_row((1, phone))
    connection.rollback()

    assert value(url, "SELECT count(*) FROM contacts") == 1


INTO = "INSERT INTO contacts (workspace_id, phone)"


@pytest.mark.parametrize(
    "statement",
    [
        f"{INTO} VALUES (1, '+2'), (1, '+2')",
        f"WITH other AS ({INTO} VALUES (1, '+2')) {INTO} VALUES (1, '+2')",
        f"{INTO} VALUES (1, '+1') ON CONFLICT DO NOTHING",
        """
        MERGE INTO contacts USING (VALUES ('+2'), ('+2')) AS given (phone) ON false
        WHEN NOT MATCHED THEN INSERT (workspace_id, phone) VALUES (1, given.phone)
        """,
    ],
    ids=["several rows", "a data-modifying CTE", "DO NOTHING", "MERGE"],
)
def test_one_statement_cannot_make_a_duplicate(url, writer, statement):
    with pytest.raises(UniqueViolation):
        writer().execute(statement)


def test_two_rows_may_swap_their_keys_in_one_statement(url, writer):
    connection = writer()
    connection.execute(INSERT, [1, "+2"])
    connection.execute("UPDATE contacts SET phone = CASE phone WHEN '+1' THEN '+2' ELSE '+1' END")
    connection.commit()

    assert rows(url, DUPLICATES) == []


def test_duplicates_from_before_may_be_touched_but_not_made_again(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLE.format(type="text"))
        for _ in range(3):
            connection.execute(INSERT, [1, "+1"])
        put_up(database_url)

        connection.execute("UPDATE contacts SET note = 'touched', phone = phone")
        connection.execute("UPDATE contacts SET phone = '+2' WHERE id = 1")
        with pytest.raises(UniqueViolation):
            connection.execute("UPDATE contacts SET phone = '+1' WHERE id = 1")
        connection.execute("DELETE FROM contacts WHERE id = 2")


ICU = "CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
CASES = [
    pytest.param(("CREATE EXTENSION citext", "citext", "+1ext", "+1EXT"), id="citext"),
    pytest.param((ICU, "text COLLATE anycase", "+1ext", "+1EXT"), id="a nondeterministic collation", marks=pytest.mark.icu),
    pytest.param(("SELECT", "char(8)", "+1", "+1  "), id="char(n)"),
    pytest.param(("SELECT", "numeric", "1.50", "1.5"), id="numeric"),
]


@pytest.mark.parametrize("case", CASES)
def test_two_phones_are_the_same_where_the_index_would_say_so(database_url, case):
    prepare, type_name, one, same = case
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(prepare)
        connection.execute(TABLE.format(type=type_name))
        put_up(database_url)
        connection.execute(INSERT, [1, one])
        with pytest.raises(UniqueViolation):
            connection.execute(INSERT, [1, same])


def test_a_writer_with_equal_phones_written_differently_waits_for_the_other(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION citext")
        connection.execute(TABLE.format(type="citext"))
    put_up(database_url)
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        first.execute(INSERT, [1, "+1ext"])
        with meanwhile(second, INSERT, 1, "+1EXT") as outcome:
            first.commit()
    assert isinstance(outcome[0], UniqueViolation)


def test_names_of_the_writers_session_do_not_mislead_it(url, writer):
    connection = writer()
    connection.execute("CREATE TEMP TABLE contacts (LIKE public.contacts)")
    connection.execute("CREATE TEMP TABLE pg_trigger (tgrelid oid, tgname name)")
    connection.execute("CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.textne)")
    connection.execute("SET search_path = pg_temp, public, pg_catalog")

    with pytest.raises(UniqueViolation):
        connection.execute("INSERT INTO public.contacts (workspace_id, phone) VALUES (1, '+1')")


@pytest.fixture
def plain_role(postgres, url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded_writer NOLOGIN")
        connection.execute("GRANT SELECT, INSERT, UPDATE ON contacts TO guarded_writer")
        yield "guarded_writer"
        connection.execute("DROP OWNED BY guarded_writer")
        connection.execute("DROP ROLE guarded_writer")


def test_a_role_with_rights_on_the_contacts_alone_is_guarded_too(url, writer, plain_role):
    connection = writer()
    connection.execute(f"SET ROLE {plain_role}")
    connection.execute(INSERT, [1, "+2"])
    connection.commit()

    connection.execute(f"SET ROLE {plain_role}")
    with pytest.raises(UniqueViolation):
        connection.execute(INSERT, [1, "+2"])


def test_a_role_that_row_security_shows_nothing_is_guarded_too(url, writer, plain_role):
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE contacts ENABLE ROW LEVEL SECURITY")
        connection.execute("CREATE POLICY blind ON contacts FOR INSERT WITH CHECK (true)")
    connection = writer()
    connection.execute(f"SET ROLE {plain_role}")

    with pytest.raises(UniqueViolation):
        connection.execute(INSERT, [1, "+1"])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM contacts_schema.claims_{oid}",
        "INSERT INTO contacts_schema.claims_{oid} VALUES (1)",
        "SELECT contacts_schema.guard_{oid}()",
        "CREATE TRIGGER mine BEFORE INSERT ON mine EXECUTE FUNCTION contacts_schema.guard_{oid}()",
    ],
)
def test_nobody_else_may_use_what_it_is_made_of(url, writer, plain_role, statement):
    oid = value(url, "SELECT 'contacts'::regclass::oid")
    connection = writer()
    connection.execute(f"CREATE TEMP TABLE mine (id int); ALTER TABLE mine OWNER TO {plain_role}")
    connection.execute(f"SET ROLE {plain_role}")

    with pytest.raises(InsufficientPrivilege):
        connection.execute(statement.format(oid=oid))


def test_it_comes_and_goes_whole(url):
    with psycopg.connect(url, autocommit=True) as connection:
        found = guard(connection)
        assert found.stands()

        connection.execute("ALTER TABLE contacts DISABLE TRIGGER contacts_schema_guard_insert")
        assert found.is_there()
        assert not found.stands()
        found.ensure()
        assert found.stands()

        with connection.transaction():
            found.remove()
        assert not found.is_there()
        assert rows(url, "SELECT proname FROM pg_proc WHERE proname LIKE 'guard\\_%'") == []
        assert rows(url, "SELECT relname FROM pg_class WHERE relname LIKE 'claims\\_%'") == []
        connection.execute(INSERT, [1, "+1"])


def test_a_guard_made_from_an_older_text_is_made_anew(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE contacts RENAME COLUMN note TO remark")
        assert guard(connection).stands()

        connection.execute("ALTER TABLE contacts RENAME COLUMN phone TO number")
        connection.execute("ALTER TABLE contacts RENAME COLUMN remark TO phone")
        assert not guard(connection).stands()
