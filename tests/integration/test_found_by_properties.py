"""What random schemas broke once, each as small as it was when it was found."""

from __future__ import annotations

from sandbox.trial import reasons, run


def test_rows_of_a_group_larger_than_a_batch_are_counted_once(database_url):
    """The look ahead took the group once for each of its slices: 3 times 3 each, and 3 times more for each table below."""
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text);"
        "INSERT INTO contacts SELECT n, 1, '+15550001' FROM generate_series(1, 2000) AS n;"
        "CREATE TABLE cards (id int PRIMARY KEY, contact_id int UNIQUE REFERENCES contacts, code int);"
        "INSERT INTO cards SELECT n, n, n FROM generate_series(1, 2000) AS n",
    )

    (reason,) = reasons(database_url)

    assert reason.code == "collision"
    assert reason.problem.startswith("1999 rows of ")
