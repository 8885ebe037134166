"""Others are at work on the same database: other runs, other people's locks, other people's migrations."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg
import pytest

from sandbox import crm
from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.snapshot import difference, snapshot
from tests.migration.observed import eventually, execute, held, remains, rows, running, shown, value

FEW = {**crm.SETTINGS, "CONTACTS_SCHEMA_LOCK_ATTEMPTS": "3", "CONTACTS_SCHEMA_LOCK_TIMEOUT": "50ms"}
SIX = "SELECT max(phone) FROM contacts GROUP BY workspace_id, phone HAVING count(*) = 6 LIMIT 1"
ONE_OF_SIX = f"SELECT FROM contacts WHERE phone = ({SIX}) FOR UPDATE"
GUARD_STANDS = "SELECT count(*) = 2 FROM pg_trigger WHERE tgname LIKE 'contacts_schema_guard%'"


@pytest.mark.parametrize("runs", [2, 3])
def test_several_upgrades_at_once_all_succeed_and_merge_once(crm_url, runs):
    duplicates = len(snapshot(crm_url)["public.contacts"].rows)

    outcomes = at_once(crm_url, runs)

    assert [code for code, _ in outcomes] == [0] * runs, outcomes
    assert duplicate_groups(crm_url) == 0
    assert constraint_is_valid(crm_url)
    assert remains(crm_url) == []
    assert value(crm_url, "SELECT count(*) FROM contacts_schema.run") == 1
    assert sum("34 groups" in said and "duplicates merged" in said for _, said in outcomes) == 1
    assert value(crm_url, "SELECT count(*) FROM contacts") < duplicates


def at_once(url, runs):
    with ExitStack() as stack:
        processes = [stack.enter_context(running(url, "upgrade", "head", **crm.SETTINGS)) for _ in range(runs)]
        said = [process.communicate(timeout=120)[1] for process in processes]
        return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def test_a_lock_that_is_never_given_up_stops_the_run_with_the_name_of_who_has_it(crm_url, alembic, migrate):
    before = snapshot(crm_url)
    # The lookup index is there already, so that the guard is the first to need a lock.
    execute(crm_url, "CREATE INDEX by_key ON contacts (workspace_id, phone)")

    with held(crm_url, "SELECT FROM deals"), held(crm_url, "LOCK TABLE contacts IN ROW EXCLUSIVE MODE") as holder:
        done = alembic(crm_url, "upgrade", "head", **FEW)
        backend = holder.info.backend_pid

    assert done.returncode == 1
    assert f"no lock on table public.contacts after 3 attempts; held by backend {backend} (" in done.stderr
    assert done.stderr.count("backend") == 1
    assert "Traceback" not in done.stderr
    assert difference(before, snapshot(crm_url)) == []
    migrate(crm_url, "upgrade", "head")
    assert duplicate_groups(crm_url) == 0


def test_a_lock_in_the_way_of_the_constraint_leaves_the_guard_up_until_the_next_run(crm_url, alembic, migrate):
    migrate(crm_url, "upgrade", "dedupe_contacts")

    with held(crm_url, "SELECT FROM contacts LIMIT 1"):
        done = alembic(crm_url, "upgrade", "head", **FEW)

    assert done.returncode == 1
    assert "no lock on table public.contacts after 3 attempts; held by backend" in done.stderr
    assert shown(crm_url, GUARD_STANDS)
    migrate(crm_url, "upgrade", "head")
    assert constraint_is_valid(crm_url)
    assert remains(crm_url) == []


def test_a_group_in_somebodys_hands_does_not_keep_the_others_from_being_merged(crm_url, alembic, migrate):
    with held(crm_url, ONE_OF_SIX) as holder:
        done = alembic(crm_url, "upgrade", "head", **FEW)
        backend = holder.info.backend_pid

    assert done.returncode == 1
    assert "no lock on rows of public.contacts after 3 attempts" in done.stderr
    assert f"backend {backend} (" in done.stderr
    assert duplicate_groups(crm_url) == 1
    assert shown(crm_url, GUARD_STANDS)
    migrate(crm_url, "upgrade", "head")
    assert duplicate_groups(crm_url) == 0


def test_a_prepared_transaction_is_named_by_its_gid(crm_url, alembic, migrate):
    with psycopg.connect(crm_url) as connection:
        connection.execute(ONE_OF_SIX)
        connection.execute("PREPARE TRANSACTION 'forgotten by the payment service'")
    try:
        done = alembic(crm_url, "upgrade", "head", **FEW)
    finally:
        execute(crm_url, "ROLLBACK PREPARED 'forgotten by the payment service'")

    assert done.returncode == 1
    assert "prepared transaction 'forgotten by the payment service'" in done.stderr
    assert duplicate_groups(crm_url) == 1
    migrate(crm_url, "upgrade", "head")
    assert duplicate_groups(crm_url) == 0


def test_a_repeatable_read_writer_older_than_the_guard_is_told_to_try_again(crm_url, migrate):
    # The index build waits for old snapshots; without one to build the guard comes at once.
    execute(crm_url, "CREATE INDEX by_key ON contacts (workspace_id, phone)")
    with held(crm_url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT") as old:
        migrate(crm_url, "upgrade", "dedupe_contacts")
        with pytest.raises(psycopg.errors.SerializationFailure):
            old.execute("INSERT INTO contacts (workspace_id, phone) SELECT id, '+1997' FROM workspaces LIMIT 1")
        old.rollback()
        old.execute("INSERT INTO contacts (workspace_id, phone) SELECT id, '+1997' FROM workspaces LIMIT 1")
        old.commit()

    assert value(crm_url, "SELECT count(*) FROM contacts WHERE phone = '+1997'") == 1


def test_a_child_table_that_comes_while_the_merge_is_at_work_is_moved_and_not_cascaded_away(crm_url, migrate):
    last = f"SELECT FROM contacts WHERE phone = ({SIX}) FOR UPDATE"
    with held(crm_url, last) as holder, running(crm_url, "upgrade", "head", **crm.SETTINGS) as process:
        eventually(
            lambda: shown(crm_url, "SELECT count(*) > 0 FROM contacts_schema.batch"),
            "a first batch",
            unless=lambda: process.poll() is not None,
        )
        holder.execute("CREATE TABLE gifts (id int PRIMARY KEY, contact_id uuid REFERENCES contacts ON DELETE CASCADE)")
        holder.execute(f"INSERT INTO gifts SELECT row_number() OVER (), id FROM contacts WHERE phone = ({SIX})")
        holder.execute("CREATE INDEX ON gifts (contact_id)")
        phone = holder.execute(SIX).fetchone()[0]
        gifts = holder.execute("SELECT id FROM gifts ORDER BY id").fetchall()
        holder.commit()
        _, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert "planning anew" in said
    assert len(gifts) == 6
    assert rows(crm_url, "SELECT id FROM gifts ORDER BY id") == gifts
    belonging = "SELECT DISTINCT phone FROM gifts JOIN contacts ON contacts.id = contact_id"
    assert rows(crm_url, belonging) == [(phone,)]


def test_a_run_is_refused_while_another_is_at_work_on_the_table_by_other_means(crm_url, alembic):
    """The engine has a lock of its own beside Alembic's: a project with another env.py may run at the same time."""
    oid = value(crm_url, "SELECT 'contacts'::regclass::oid::int")
    lock = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'cont')}, {oid})"
    before = snapshot(crm_url)

    with held(crm_url, lock) as holder:
        done = alembic(crm_url, "upgrade", "head", **FEW)
        backend = holder.info.backend_pid

    assert done.returncode == 1
    assert f"another run is going on in this database (backend {backend})" in done.stderr
    assert difference(before, snapshot(crm_url)) == []
