"""The command as people type it: where the database comes from, what it says, and other people's Alembic projects."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import make_url

from sandbox import crm
from sandbox.alembic_command import environment
from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.snapshot import difference, snapshot
from tests.migration.observed import eventually, execute, held, rows, running, shown, value

NO_URL = "DATABASE_URL is not set; set it to postgresql://USER:PASSWORD@HOST:PORT/DATABASE\n"
PHONE = re.compile(r"\+1555\d{7}")
SMALL = """
    CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, email text UNIQUE);
    INSERT INTO contacts VALUES (1, 1, '+15550000001'), (2, 1, '+15550000001'), (3, 2, '+15550000001');
"""


@pytest.fixture
def small_url(database_url):
    execute(database_url, SMALL)
    return database_url


@pytest.mark.parametrize("text", ["", "   "])
@pytest.mark.parametrize("command", [["upgrade", "head"], ["downgrade", "base"], ["current"]], ids=" ".join)
def test_without_a_url_there_is_one_clear_line_and_no_database_is_guessed(alembic, text, command):
    done = alembic(text, *command)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", NO_URL)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://root@localhost/crm", 'DATABASE_URL has the scheme "mysql"'),
        ("localhost/crm", "DATABASE_URL is not a URL"),
        ("postgresql://user:secret@localhost", "DATABASE_URL names no database"),
        ("postgresql://user:secret@127.0.0.1:1/crm", "no connection to the database"),
        ("postgresql://user:secret@127.0.0.1:1/crm?connect_timeout=abc", "no connection to the database"),
        ("postgresql://user:secret@127.0.0.1:1/crm?sslmode=never", "no connection to the database"),
        (
            "postgresql://user:secret@127.0.0.1:1/crm?host=a&port=b",
            "DATABASE_URL has hosts and ports that do not go together",
        ),
        ("postgresql://user:secret%00@127.0.0.1:1/crm", "DATABASE_URL holds a NUL character"),
        ("postgresql://user:secret\udcff@127.0.0.1:1/crm", "DATABASE_URL holds bytes that are not UTF-8"),
    ],
)
def test_a_url_that_leads_nowhere_is_one_clear_line_without_the_password(alembic, url, said):
    done = alembic(url, "upgrade", "head")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_any_spelling_of_the_scheme_will_do(alembic, small_url, scheme):
    done = alembic(small_url.replace("postgresql", scheme, 1), "upgrade", "head")

    assert done.returncode == 0, done.stderr
    assert constraint_is_valid(small_url)


def test_any_characters_may_be_in_the_password_and_in_the_name_of_the_database(alembic, postgres, small_url):
    password, name = "p%40:/@#?& '\"", "a %b c"
    server = make_url(postgres.url)
    execute(postgres.url, f'ALTER DATABASE {make_url(small_url).database} RENAME TO "{name}"')
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        literal = psycopg.sql.Literal(password)
        connection.execute(psycopg.sql.SQL("CREATE ROLE odd SUPERUSER LOGIN PASSWORD {}").format(literal))
        url = f"postgresql://odd:{quote(password, safe='')}@{server.host}:{server.port}/{quote(name)}"
        try:
            done = alembic(url, "upgrade", "head")
            assert done.returncode == 0, done.stderr
            assert constraint_is_valid(url)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            connection.execute("DROP ROLE odd")


def test_current_and_history_tell_where_a_database_is(alembic_command, small_url):
    assert alembic_command(small_url, "current").stdout.strip() == ""
    alembic_command(small_url, "upgrade", "head")

    assert alembic_command(small_url, "current").stdout.strip() == "unique_phone_workspace (head)"
    history = alembic_command(small_url, "history").stdout
    assert re.findall(r"-> (\w+)", history) == ["unique_phone_workspace", "dedupe_contacts"]


def test_history_needs_no_database(alembic_command):
    assert "dedupe_contacts" in alembic_command("", "history").stdout


def test_one_step_at_a_time(alembic, small_url):
    before = snapshot(small_url)

    for step, groups, constrained in (("+1", 0, False), ("+1", 0, True), ("-1", 0, False), ("-1", 1, False)):
        done = alembic(small_url, "downgrade" if step == "-1" else "upgrade", step)
        assert done.returncode == 0, done.stderr
        assert (duplicate_groups(small_url), constraint_is_valid(small_url)) == (groups, constrained)

    assert difference(before, snapshot(small_url)) == []


def test_settings_from_the_command_line_win_over_the_environment(alembic, small_url):
    execute(small_url, "ALTER TABLE contacts RENAME TO people")

    done = alembic(small_url, "-x", "table=people", "upgrade", "head", CONTACTS_SCHEMA_TABLE="nobody")

    assert done.returncode == 0, done.stderr
    assert constraint_is_valid(small_url)


def test_a_setting_that_is_none_is_an_error_that_names_the_right_one(alembic_command, small_url):
    before = snapshot(small_url)

    done = alembic_command(small_url, "-x", "phone_colum=phone", "upgrade", "head")

    assert done.returncode == 1
    assert "did you mean phone_column?" in done.stderr
    assert difference(before, snapshot(small_url)) == []


def test_the_summary_counts_what_was_done(alembic_command, crm_url):
    done = alembic_command(crm_url, "upgrade", "head", **crm.SETTINGS)

    assert "duplicates merged: 34 groups, 87 rows merged, 722 rows archived" in done.stderr
    assert re.search(r"rows changed: .*public.messages [\d,]+", done.stderr)
    assert done.stdout == ""


# No phone number is ever shown.

LOUD = """
    CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'cannot remove %', OLD.phone USING DETAIL = OLD.phone, HINT = OLD.phone; END $$;
    CREATE TRIGGER loud BEFORE DELETE ON contacts FOR EACH ROW WHEN (OLD.phone IS NOT NULL) EXECUTE FUNCTION loud();
"""
STRICT_ADMINISTRATOR = """
    CREATE FUNCTION strict() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no changes, says %', (SELECT max(phone) FROM public.contacts); END $$;
    CREATE EVENT TRIGGER strict ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION strict();
"""
DIFFERENT = """
    UPDATE conversations SET status = coalesce(phone, '') || conversations.id FROM contacts WHERE contacts.id = contact_id;
"""


@pytest.mark.parametrize(
    "trouble",
    [LOUD, STRICT_ADMINISTRATOR, DIFFERENT],
    ids=["a trigger that objects", "an event trigger that objects", "rows that differ"],
)
def test_a_failure_shows_no_phone_number(alembic, crm_url, trouble):
    execute(crm_url, trouble)

    done = alembic(crm_url, "upgrade", "head", **crm.SETTINGS)

    assert done.returncode == 1, done.stderr
    assert not PHONE.search(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


def test_a_wait_for_a_lock_and_a_success_show_no_phone_number(alembic, crm_url):
    six = "SELECT min(phone) FROM contacts GROUP BY phone HAVING count(*) = 6 LIMIT 1"
    busy = f"SELECT FROM contacts WHERE phone = ({six}) FOR UPDATE"
    with held(crm_url, busy):
        failed = alembic(crm_url, "upgrade", "head", **crm.SETTINGS, CONTACTS_SCHEMA_LOCK_ATTEMPTS="2")
    done = alembic(crm_url, "upgrade", "head", **crm.SETTINGS)

    assert (failed.returncode, done.returncode) == (1, 0)
    assert not PHONE.search(failed.stdout + failed.stderr + done.stdout + done.stderr)


def test_a_row_that_cannot_come_back_shows_its_key_and_no_phone_number(alembic, small_url):
    execute(small_url, "UPDATE contacts SET email = phone WHERE id = 2")
    alembic(small_url, "upgrade", "head")
    execute(small_url, "UPDATE contacts SET email = phone WHERE id = 3")

    done = alembic(small_url, "downgrade", "base")

    assert done.returncode == 0, done.stderr
    assert "public.contacts (id=2): stays in the archive" in done.stderr
    assert not PHONE.search(done.stdout + done.stderr)


# The directives in somebody else's project, which knows nothing of our environment.

ENV = """
from alembic import context
from sqlalchemy import create_engine
import os

engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1))
with engine.connect() as connection:
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
from alembic import op
import sqlalchemy as sa

revision = "one_email"
down_revision = None


def upgrade():
    op.add_column("users", sa.Column("before", sa.Text))
    op.merge_duplicates("users", ["tenant_id", "email"], constraint_name="one_email", survivor_order="id DESC")
    op.create_unique_constraint_online("one_email", "users", ["tenant_id", "email"])
    op.add_column("users", sa.Column("after", sa.Text))


def downgrade():
    op.drop_column("users", "after")
    op.drop_unique_constraint_online("one_email", "users", ["tenant_id", "email"])
    op.restore_duplicates("users", ["tenant_id", "email"], constraint_name="one_email")
    op.drop_column("users", "before")
"""
USERS = """
    CREATE TABLE users (id bigserial PRIMARY KEY, tenant_id int, email text, name text);
    CREATE TABLE logins (id bigserial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE);
    INSERT INTO users (tenant_id, email) VALUES (1, 'a@x'), (1, 'a@x'), (2, 'a@x'), (1, 'b@x'), (1, NULL), (1, NULL);
    INSERT INTO logins (user_id) SELECT id FROM users;
"""


@pytest.fixture
def project(tmp_path):
    """Makes a project of its own and runs alembic in it."""

    def make(options=", transaction_per_migration=True", revision=REVISION):
        (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/scripts\n")
        (tmp_path / "scripts" / "versions").mkdir(parents=True)
        (tmp_path / "scripts" / "env.py").write_text(ENV.format(options=options))
        (tmp_path / "scripts" / "versions" / "one_email.py").write_text(revision)

        def run(url, *arguments):
            return subprocess.run(
                [sys.executable, "-m", "alembic", *arguments],
                cwd=tmp_path, env=environment(url), capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip

        return run

    return make


def test_another_project_uses_the_directives_on_a_table_and_key_of_its_own(project, database_url):
    alembic_there = project()
    execute(database_url, USERS)
    before = snapshot(database_url)

    done = alembic_there(database_url, "upgrade", "head")

    assert done.returncode == 0, done.stderr
    assert rows(database_url, "SELECT id FROM users ORDER BY id") == [(2,), (3,), (4,), (5,), (6,)]
    assert value(database_url, "SELECT count(*) FROM logins WHERE user_id = 2") == 2
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.UniqueViolation) as error:
        connection.execute("INSERT INTO users (tenant_id, email) VALUES (1, 'b@x')")
    assert error.value.diag.constraint_name == "one_email"

    done = alembic_there(database_url, "downgrade", "base")
    assert done.returncode == 0, done.stderr
    assert difference(before, snapshot(database_url)) == []


def test_a_project_with_one_transaction_for_all_revisions_works_too(project, database_url):
    execute(database_url, USERS)

    done = project(options="")(database_url, "upgrade", "head")

    assert done.returncode == 0 or "transaction_per_migration=True" in done.stderr, done.stderr
    if done.returncode == 0:
        assert value(database_url, "SELECT version_num FROM alembic_version") == "one_email"


LATER = """
from alembic import op

revision = "later"
down_revision = "one_email"


def upgrade():
    op.execute("SELECT 1 / 0")
"""


@pytest.mark.parametrize(
    ("options", "stamped"), [("", []), (", transaction_per_migration=True", [("one_email",)])], ids=["one", "each"]
)
def test_a_later_revision_that_fails_takes_the_stamp_with_it_unless_each_has_its_transaction(
    project, database_url, tmp_path, options, stamped
):
    execute(database_url, USERS)
    alembic_there = project(options=options)
    (tmp_path / "scripts" / "versions" / "later.py").write_text(LATER)

    done = alembic_there(database_url, "upgrade", "head")

    assert "division by zero" in done.stderr
    assert value(database_url, "SELECT count(*) FROM users") == 5
    assert rows(database_url, "SELECT version_num FROM alembic_version") == stamped


def test_a_directive_without_a_name_for_the_constraint_says_so(project, database_url):
    execute(database_url, USERS)
    revision = REVISION.replace(', constraint_name="one_email"', "")

    done = project(revision=revision)(database_url, "upgrade", "head")

    assert done.returncode not in (0, None)
    assert "FAILED: " in done.stdout
    assert "constraint_name is missing" in done.stdout
    assert value(database_url, "SELECT count(*) FROM users") == 6


def test_a_refusal_in_another_project_is_a_message_and_no_traceback(project, database_url):
    execute(database_url, USERS, "ALTER TABLE logins DROP CONSTRAINT logins_pkey, DROP CONSTRAINT logins_user_id_fkey")

    done = project()(database_url, "upgrade", "head")

    assert done.returncode == 255
    assert done.stdout.startswith("FAILED: refused before the first change, for 1 reason:\n  1. ")
    assert "     -> " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert value(database_url, "SELECT count(*) FROM users") == 6


def test_ctrl_c_ends_with_130_and_says_what_is_left(alembic, small_url):
    guarded = "SELECT count(*) = 2 FROM pg_trigger WHERE tgname LIKE 'contacts_schema_guard%'"
    with held(small_url, "SELECT FROM contacts FOR UPDATE"), running(small_url, "upgrade", "head") as process:
        eventually(lambda: shown(small_url, guarded), "the guard", unless=lambda: process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "new duplicates stay rejected until it has ended or is taken back" in said.splitlines()[-1]
    assert alembic(small_url, "upgrade", "head").returncode == 0
    assert constraint_is_valid(small_url)
