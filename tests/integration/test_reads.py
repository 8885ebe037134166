"""What a run reads: batches look their rows up, however small the tables are and whatever hangs on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sandbox.trial import merge, query, restore, run

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
# Every index and table, those of the archive too, by what was read of it since.
READ: Final = """
    SELECT indexrelid::regclass::text, idx_tup_read::int FROM pg_stat_user_indexes WHERE schemaname <> 'pg_toast'
    UNION ALL SELECT relid::regclass::text, seq_tup_read::int FROM pg_stat_user_tables WHERE schemaname <> 'pg_toast'
"""


def test_no_batch_reads_a_whole_table_or_index(database_url):
    """Up to PostgreSQL 17 a plan with a forbidden scan reads what it likes; the archive was read for each survivor."""
    run(database_url, TABLES, "ANALYZE")
    before = _read(database_url)

    assert merge(database_url, **SETTINGS).rows_merged == 1200
    merged = _read(database_url)
    restore(database_url, **SETTINGS)
    restored = _read(database_url)

    assert _often(before, merged) == {}
    assert _often(merged, restored) == {}


def _read(url: str) -> dict[str, int]:
    return dict(query(url, READ))


def _often(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What was read far more of than the looks before the first batch, and the batches' rows, ask for."""
    most = 10 * 3 * CONTACTS
    return {name: rows - before.get(name, 0) for name, rows in after.items() if rows - before.get(name, 0) > most}
