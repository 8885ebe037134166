"""What random schemas broke once, each as small as it was when it was found."""

from __future__ import annotations

from collections.abc import Callable

from contacts_schema.merge import passes
from sandbox.trial import CONTACTS, merge, query, reasons, restore, round_trip, run


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


def test_rows_without_a_key_are_found_again_by_any_of_their_references(database_url):
    """They were looked for by the first alone, and where that was NULL the others stayed with the survivor."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE calls (caller bigint REFERENCES contacts, callee bigint REFERENCES contacts);"
        "INSERT INTO calls VALUES (NULL, 2), (NULL, 2), (NULL, 4), (2, NULL), (3, 2), (6, 3)",
    )

    def moved() -> None:
        found = query(database_url, "SELECT coalesce(caller, 0), coalesce(callee, 0) FROM calls ORDER BY 1, 2")
        assert found == [(0, 1), (0, 1), (0, 4), (1, 0), (1, 1), (5, 1)]

    round_trip(database_url, moved)


def test_one_key_that_people_use_holds_up_no_other(database_url):
    """Restore's second try is row by row, and moved keys need the rows that hold them to move along."""
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text);"
        "INSERT INTO contacts VALUES (1, 1, '+15550001'), (2, 1, '+15550001'), (3, 1, '+15550002'), (4, 1, '+15550002');"
        "CREATE TABLE profiles (contact_id int PRIMARY KEY REFERENCES contacts);"
        "CREATE TABLE photos (id int PRIMARY KEY, contact_id int REFERENCES profiles);"
        "INSERT INTO profiles VALUES (2), (4); INSERT INTO photos VALUES (20, 2), (40, 4)",
    )
    merge(database_url)
    run(database_url, "INSERT INTO photos VALUES (11, 1)")

    kept = restore(database_url).kept

    assert query(database_url, "TABLE profiles ORDER BY 1") == [(1,), (4,)]
    assert query(database_url, "TABLE photos ORDER BY 1") == [(11, 1), (20, 1), (40, 4)]
    assert [line.partition(":")[0] for line in kept] == ["public.profiles (contact_id=1)", "public.photos (id=20)"]


def test_what_is_filled_does_not_change_who_survives(database_url):
    run(
        database_url,
        "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, name text);"
        "INSERT INTO contacts SELECT n, 1, '+15550001', 'Ann' FROM generate_series(1, 1000) AS n;"
        "INSERT INTO contacts VALUES (1001, 1, '+15550001', NULL)",
    )

    merge(database_url, survivor_order="name DESC", fill=("name",))

    assert query(database_url, "SELECT id, name FROM contacts") == [(1001, "Ann")]


REFERRED = (
    "CREATE TABLE contacts (id int PRIMARY KEY, workspace_id int, phone text, referrer int UNIQUE REFERENCES contacts);"
)

EACH_OTHER = """
    INSERT INTO contacts VALUES (1, 1, 'a'), (2, 1, 'a'), (3, 1, 'b'), (4, 1, 'b');
    UPDATE contacts SET referrer = 6 - id WHERE id IN (2, 4)
"""


def survivors_alone(url: str) -> Callable[[], None]:
    def look() -> None:
        assert query(url, "SELECT count(*), count(referrer) FROM contacts") == [(2, 0)]

    return look


def test_a_duplicate_that_refers_to_another_of_its_group_is_no_obstacle_however_large_the_group(database_url):
    """Until its own batch it is a row like any other, whose reference would change under a unique key."""
    run(
        database_url,
        REFERRED,
        "INSERT INTO contacts SELECT n, 1, 'a' FROM generate_series(2, 1000) AS n; INSERT INTO contacts VALUES (1, 1, 'b');"
        "UPDATE contacts SET referrer = id - 900 WHERE id > 950",
    )

    round_trip(database_url, survivors_alone(database_url))


def test_groups_that_stand_in_the_way_of_each_other_are_merged_together(database_url):
    run(database_url, REFERRED, EACH_OTHER)

    round_trip(database_url, survivors_alone(database_url), batch_size=1)


def test_references_that_share_a_column_move_together_where_they_can(database_url):
    """A photo's contact has a profile; where both move alike nothing is in the way."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE profiles (contact_id bigint PRIMARY KEY REFERENCES contacts, bio text);"
        "CREATE TABLE photos (id int PRIMARY KEY, contact_id bigint REFERENCES contacts REFERENCES profiles);"
        "INSERT INTO profiles VALUES (1, 'x'), (2, 'x'), (6, 'y');"
        "INSERT INTO photos VALUES (10, 1), (20, 2), (60, 6), (0, NULL)",
    )

    def moved() -> None:
        assert query(database_url, "SELECT contact_id FROM profiles ORDER BY 1") == [(1,), (5,)]
        assert query(database_url, "SELECT id, contact_id FROM photos ORDER BY 1") == [(0, None), (10, 1), (20, 1), (60, 5)]

    round_trip(database_url, moved)


def test_a_column_that_also_leads_to_what_contacts_are_kinds_of_moves_with_them(database_url):
    """A party is a person or a company; the contact has its key, and so has whoever refers to the contact."""
    run(
        database_url,
        "CREATE TABLE parties (id int PRIMARY KEY); INSERT INTO parties VALUES (1), (2);"
        "CREATE TABLE contacts (id int PRIMARY KEY REFERENCES parties, workspace_id int, phone text);"
        "INSERT INTO contacts VALUES (1, 1, 'a'), (2, 1, 'a');"
        "CREATE TABLE messages (id int PRIMARY KEY, contact_id int REFERENCES contacts REFERENCES parties);"
        "INSERT INTO messages VALUES (7, 2)",
    )

    round_trip(database_url)


def test_groups_in_the_way_of_each_other_may_be_in_two_workers_hands(database_url, monkeypatch):
    monkeypatch.setattr(passes, "_WORTH_SHARING", 2)
    monkeypatch.setattr(passes, "_STRETCH", 1)
    run(database_url, REFERRED, EACH_OTHER)

    assert merge(database_url, batch_size=1).rows_merged == 2


def test_references_of_one_column_to_keys_of_two_types(database_url):
    """Whether they agree was asked as the types of the keys, which the server does not compare."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE profiles (id int PRIMARY KEY, contact_id bigint UNIQUE REFERENCES contacts);"
        "INSERT INTO profiles VALUES (1, 1), (2, 2), (4, 4);"
        "CREATE TABLE likes (id int PRIMARY KEY, both_id int REFERENCES contacts REFERENCES profiles);"
        "INSERT INTO likes VALUES (1, 1), (2, 2), (4, 4)",
    )

    def moved() -> None:
        assert query(database_url, "SELECT both_id FROM likes ORDER BY id") == [(1,), (1,), (4,)]

    round_trip(database_url, moved, collisions=((None, "profiles", "merge"),))


def test_a_column_of_two_keys_of_which_one_is_not_valid(database_url):
    """The row led nowhere by that one, and so nothing held it back; moved, or moved back, it was asked for all the same."""
    run(
        database_url,
        "CREATE TABLE contacts (id text PRIMARY KEY, workspace_id int, phone text, code text UNIQUE);"
        "INSERT INTO contacts VALUES ('a', 1, '+15550001', 'x'), ('b', 1, '+15550001', 'y'), ('c', 2, '+15550001', 'a');"
        "CREATE TABLE cards (id int PRIMARY KEY, contact text REFERENCES contacts, kind int);"
        "INSERT INTO cards VALUES (1, 'b', 1), (2, NULL, 1);"
        "ALTER TABLE cards ADD CONSTRAINT by_code FOREIGN KEY (contact) REFERENCES contacts (code) NOT VALID",
    )

    assert [reason.code for reason in reasons(database_url)] == ["untaken"]
    run(database_url, "UPDATE contacts SET code = 'z' WHERE id = 'c'")
    assert [reason.code for reason in reasons(database_url)] == ["untaken"]

    run(database_url, "DELETE FROM cards WHERE id = 1")
    round_trip(database_url, lambda: None)


def test_a_key_that_no_merge_follows_and_that_is_not_valid(database_url):
    """The row was moved to where it led somewhere, and could not be moved back to where it had led nowhere."""
    run(
        database_url,
        CONTACTS,
        "CREATE TABLE places (contact bigint, place int, PRIMARY KEY (contact, place)); INSERT INTO places VALUES (1, 7);"
        "CREATE TABLE visits (id int PRIMARY KEY, contact bigint REFERENCES contacts, place int);"
        "INSERT INTO visits VALUES (1, 2, 7);"
        "ALTER TABLE visits ADD FOREIGN KEY (contact, place) REFERENCES places NOT VALID",
    )

    assert [reason.code for reason in reasons(database_url)] == ["untaken"]
    run(database_url, "INSERT INTO places VALUES (2, 7)")
    round_trip(database_url, lambda: None)
