"""What a run reads: batches look their rows up, however small the tables are and whatever hangs on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sandbox.trial import drop_constraint, merge, query, restore, run

CONTACTS: Final = 4000
TABLES: Final = f"""
    CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, email text, referrer int REFERENCES contacts);
    CREATE INDEX ON contacts (referrer);
    INSERT INTO contacts SELECT n, n % 50, '+1' || n % 2800, CASE WHEN n % 2 = 0 THEN 'x' END, CASE WHEN n > 6 THEN n - 5 END
    FROM generate_series(2, {CONTACTS} + 1) AS n;
    CREATE TABLE notes (id int PRIMARY KEY, contact_id int REFERENCES contacts ON DELETE CASCADE);
    CREATE INDEX ON notes (contact_id);
    INSERT INTO notes SELECT n, n FROM generate_series(2, {CONTACTS} + 1) AS n;
    CREATE TABLE tags (id int PRIMARY KEY, contact_id int REFERENCES contacts ON DELETE CASCADE, tag int,
                       UNIQUE (contact_id, tag));
    INSERT INTO tags SELECT n, 2 + n % {CONTACTS}, n / {CONTACTS} FROM generate_series(0, {3 * CONTACTS} - 1) AS n;
    CREATE TABLE uses (tag_id int REFERENCES tags ON DELETE CASCADE, kind int, PRIMARY KEY (tag_id, kind));
    INSERT INTO uses SELECT n, n % 2 FROM generate_series(0, {3 * CONTACTS} - 1) AS n;
    CREATE TABLE calls (contact_id int REFERENCES contacts, seconds int);
    CREATE INDEX ON calls (contact_id);
    INSERT INTO calls SELECT 2 + n % {CONTACTS}, n FROM generate_series(0, {3 * CONTACTS} - 1) AS n;
    CREATE TABLE deals (id int PRIMARY KEY, contact_id int REFERENCES contacts, agent_id int REFERENCES contacts);
    CREATE INDEX ON deals (contact_id);
    CREATE INDEX ON deals (agent_id);
    INSERT INTO deals SELECT n, n, {CONTACTS} + 3 - n FROM generate_series(2, {CONTACTS} + 1) AS n;
"""
SETTINGS: Final[Mapping[str, Any]] = {
    "batch_size": 25,
    "fill": ("email",),
    "collisions": ((None, "tags", "merge"), (None, "uses", "merge")),
}
# What was read of every table and index, those of the archive too, and how many rows the table ever had.
READ: Final = """
    SELECT relid::regclass::text, seq_tup_read::int, n_tup_ins::int FROM pg_stat_user_tables
    UNION ALL
    SELECT i.indexrelid::regclass::text, i.idx_tup_read::int, t.n_tup_ins::int
    FROM pg_stat_user_indexes AS i JOIN pg_stat_user_tables AS t USING (relid)
"""
ARCHIVED: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'contacts_schema'::regnamespace AND relkind = 'r' AND relname ~ '^(archive|journal)_'
"""


def test_no_batch_reads_a_whole_table_or_index(database_url):
    """Up to PostgreSQL 17 a plan with a forbidden scan reads what it likes; the archive was read for each survivor."""
    run(database_url, TABLES, "ANALYZE")
    before = _read(database_url)

    assert merge(database_url, **SETTINGS).rows_merged == 1200
    # Dropped they would not tell what was read of them. What somebody made of one keeps it.
    archived = query(database_url, ARCHIVED)
    run(database_url, *(f'CREATE VIEW "v_{n}" AS TABLE contacts_schema."{n}"' for (n,) in archived))
    merged = _read(database_url)
    restore(database_url, **SETTINGS)
    restored = _read(database_url)

    assert len(archived) >= 6
    assert {f"contacts_schema.{name}" for (name,) in archived} <= restored.keys()
    assert _often(before, merged) == {}
    assert _often(merged, restored) == {}


def test_fill_reads_an_archive_that_is_there_already_once(database_url):
    """It has no index on the rows that others went into: nothing was filled by the run that made it."""
    run(database_url, TABLES, "ANALYZE")
    assert merge(database_url, **{**SETTINGS, "fill": ()}).rows_merged == 1200
    drop_constraint(database_url)
    run(database_url, "INSERT INTO contacts SELECT n, 1, '+2', n FROM generate_series(10001, 10200) AS n")
    before = _read(database_url)

    assert merge(database_url, **SETTINGS).rows_merged == 199

    assert _often(before, _read(database_url), times=3, schema="contacts_schema.archive_1_") == {}


def _read(url: str) -> dict[str, tuple[int, int]]:
    return {name: (read, rows) for name, read, rows in query(url, READ)}


def _often(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]], times: int = 15, schema: str = ""
) -> dict[str, int]:
    """What was read more ``times`` than the looks at whole tables, before and after the 48 batches, ask for."""
    read = {name: (rows - before.get(name, (0, 0))[0], ever) for name, (rows, ever) in after.items()}
    return {name: rows for name, (rows, ever) in read.items() if rows > times * max(ever, 500) and name.startswith(schema)}
