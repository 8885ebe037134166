"""Killed at every stage, from outside and from inside, a run leaves nothing wrong, and the next one goes on.

Something in the way holds a run still at the stage in question, so that the kill always meets it there.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from sandbox import crm
from sandbox.proofs import constraint_is_valid, duplicate_groups
from sandbox.server_databases import database, filled_template
from sandbox.snapshot import difference, snapshot
from tests.migration.observed import (
    ended,
    eventually,
    execute,
    held,
    kill,
    remains,
    rows,
    running,
    shown,
    without_stamps,
)

# Long enough for what is in the way to be there until the kill.
PATIENT = {**crm.SETTINGS, "CONTACTS_SCHEMA_LOCK_TIMEOUT": "60s"}
WORKER = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'contacts_schema'"
BUILDING = """
    SELECT EXISTS (SELECT FROM pg_stat_progress_create_index AS build JOIN pg_class ON oid = index_relid
        WHERE build.datname = current_database() AND relname LIKE '{name}' AND phase LIKE '{phase}')
"""
NO_COPY = "(SELECT id FROM contacts WHERE phone IS NULL ORDER BY id LIMIT 1)"
STANDS_STILL = f"SELECT EXISTS (SELECT {WORKER} AND wait_event_type = 'Lock' AND wait_event = 'advisory')"
GATE = "SELECT pg_advisory_xact_lock(4711)"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a run is killed: the revisions before it, what stands in its way, how it shows that it is there.

    `batch` is the size of its batches: 34 groups in five of them, unless the stage has to be met between two groups.
    """

    shows: str
    first: str = "base"
    target: str = "head"
    way: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    batch: int = 8
    # A killed client's backend ends its statement when it can; killed itself, it leaves a dead index.
    backend_too: bool = False


def gate(table: str, event: str) -> str:
    """A trigger at which a run stands still in the middle of a transaction, as long as somebody has the lock."""
    return f"""
        CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$;
        CREATE TRIGGER wait_here AFTER {event} ON {table} EXECUTE FUNCTION wait_here();
    """


VERSION_TABLE = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"
NO_STAMP = "LOCK TABLE alembic_version IN EXCLUSIVE MODE"
WAITS_FOR_STAMP = """
    EXISTS (SELECT FROM pg_locks WHERE relation = 'alembic_version'::regclass AND NOT granted)
"""
WRITER = f"UPDATE contacts SET name = name WHERE id = {NO_COPY}"
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
EVERY_DUPLICATE = "SELECT FROM contacts WHERE phone IS NOT NULL FOR UPDATE"
ONE_GROUP = """
    SELECT FROM contacts WHERE phone = (
        SELECT max(phone) FROM contacts GROUP BY workspace_id, phone HAVING count(*) = 6 LIMIT 1
    ) FOR UPDATE
"""
NOTES_OF_ONE = """
    SELECT FROM notes WHERE contact_id = (
        SELECT contact_id FROM notes GROUP BY contact_id ORDER BY count(*) DESC, contact_id LIMIT 1
    ) FOR UPDATE
"""
GUARD_STANDS = "(SELECT count(*) = 2 FROM pg_trigger WHERE tgname LIKE 'contacts_schema_guard%')"

STAGES = {
    "archive created": Stage(way=(WRITER,), shows="SELECT to_regclass('contacts_schema.op') IS NOT NULL"),
    "lookup index being built": Stage(
        way=(WRITER,), shows=BUILDING.format(name="contacts_schema_lookup%", phase="%writers before%")
    ),
    "lookup index not valid yet": Stage(
        way=(SNAPSHOT, "SELECT FROM contacts"),
        shows=BUILDING.format(name="contacts_schema_lookup%", phase="%old snapshots%"),
        backend_too=True,
    ),
    "guard up, nothing merged": Stage(way=(EVERY_DUPLICATE,), shows=f"SELECT {GUARD_STANDS}"),
    "all but one group merged": Stage(batch=1, way=(ONE_GROUP,), shows="SELECT count(*) = 33 FROM contacts_schema.batch"),
    "in a batch, references moving": Stage(prepare=(gate("notes", "UPDATE"),), way=(GATE,), shows=STANDS_STILL),
    "in a batch, contacts going": Stage(
        prepare=(gate("contacts", "DELETE"),),
        way=(GATE,),
        shows=STANDS_STILL,
        backend_too=True,
    ),
    "merged, not stamped": Stage(
        prepare=(VERSION_TABLE,), way=(NO_STAMP,), shows=f"SELECT {GUARD_STANDS} AND {WAITS_FOR_STAMP}"
    ),
    "unique index being built": Stage(
        first="dedupe_contacts",
        way=(WRITER,),
        shows=BUILDING.format(name="unique_phone_workspace", phase="%writers before%"),
        backend_too=True,
    ),
    "unique index enforcing, not valid yet": Stage(
        first="dedupe_contacts",
        way=(SNAPSHOT, "SELECT FROM contacts"),
        shows=BUILDING.format(name="unique_phone_workspace", phase="%old snapshots%"),
        backend_too=True,
    ),
    "constraint attached, not stamped": Stage(
        first="dedupe_contacts",
        way=(NO_STAMP,),
        shows=f"""
            SELECT NOT {GUARD_STANDS} AND {WAITS_FOR_STAMP}
            AND EXISTS (SELECT FROM pg_constraint WHERE conname = 'unique_phone_workspace')
        """,
    ),
    "in mid-restore": Stage(
        first="head",
        target="base",
        way=(NOTES_OF_ONE,),
        shows=f"SELECT count(*) < 34 AND EXISTS (SELECT {WORKER} AND wait_event_type = 'Lock') FROM contacts_schema.batch",
    ),
}


@pytest.fixture(scope="module")
def templates(postgres, crm_template, migrate):
    """The sample CRM at each revision, at its end merged in many batches, as names of databases to be cloned."""
    made = {"base": crm_template}
    with ExitStack() as stack:
        for revision, batch in (("dedupe_contacts", 8), ("head", 1)):
            filled = filled_template(postgres.url, partial(_upgrade, migrate, revision, batch), template=crm_template)
            made[revision] = stack.enter_context(filled)
        yield made


def _upgrade(migrate, revision, batch, url):
    migrate(url, "upgrade", revision, CONTACTS_SCHEMA_BATCH_SIZE=str(batch))


@pytest.fixture
def at_revision(new_database, templates):
    """Gives the URL of a CRM at a revision, the test's own copy."""
    return lambda revision: new_database(templates[revision])


@pytest.fixture(scope="module")
def undisturbed(postgres, upgraded_template):
    """The rows as a run leaves them that nobody disturbed."""
    with database(postgres.url, template=upgraded_template) as url:
        return without_stamps(snapshot(url))


def stop_at(url: str, stage: Stage, *, server_side: bool) -> None:
    """Run alembic into the stage, kill it there, and wait until nothing of it is alive."""
    direction = "downgrade" if stage.target == "base" else "upgrade"
    settings = {**PATIENT, "CONTACTS_SCHEMA_BATCH_SIZE": str(stage.batch)}
    with held(url, *stage.way) as obstacle, running(url, direction, stage.target, **settings) as process:
        eventually(lambda: shown(url, stage.shows), f"seeing {stage.shows}", unless=lambda: process.poll() is not None)
        if server_side:
            execute(url, f"SELECT pg_terminate_backend(pid) {WORKER}")
            eventually(lambda: not rows(url, f"SELECT {WORKER}"), "the end of the worker")
        kill(process)
        obstacle.rollback()
        eventually(lambda: ended(url), "the end of the killed run's sessions")


KILLS = [
    *(pytest.param(name, False, id=name) for name in STAGES),
    *(pytest.param(name, True, id=f"{name}, backend killed") for name in STAGES if STAGES[name].backend_too),
]


@pytest.mark.parametrize(("name", "server_side"), KILLS)
def test_after_a_kill_the_same_command_goes_on(crm_url, at_revision, migrate, undisturbed, name, server_side):
    stage, before = STAGES[name], snapshot(crm_url)
    url = at_revision(stage.first)
    execute(url, *stage.prepare)

    stop_at(url, stage, server_side=server_side)
    execute(url, "DROP FUNCTION IF EXISTS wait_here CASCADE")
    if stage.target == "head":
        migrate(url, "upgrade", "head")

        assert without_stamps(snapshot(url)) == undisturbed
        assert duplicate_groups(url) == 0
        assert constraint_is_valid(url)
        assert remains(url) == []

    migrate(url, "downgrade", "base")
    assert difference(before, snapshot(url)) == []
    assert remains(url) == []


def test_a_killed_run_that_waits_in_the_server_does_not_keep_the_next_one_out(crm_url, migrate):
    """Its backend would wait for the writer, and hold the deployer's lock, for as long as that one likes."""
    stage = STAGES["lookup index being built"]
    with held(crm_url, *stage.way) as writer, running(crm_url, "upgrade", "head", **PATIENT) as process:
        eventually(lambda: shown(crm_url, stage.shows), "the build", unless=lambda: process.poll() is not None)
        kill(process)
        eventually(lambda: ended(crm_url), "the end of the killed run's sessions")
        writer.rollback()

    migrate(crm_url, "upgrade", "head")
    assert constraint_is_valid(crm_url)
    assert remains(crm_url) == []
