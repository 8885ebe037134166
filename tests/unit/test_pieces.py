"""What belongs together goes back together, and pieces are tried as long as that helps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contacts_schema.restore.pieces import Refusal, as_far_as_possible, units


def test_rows_that_share_a_number_are_one_unit():
    assert units({(1, 1): [10], (2, 1): [20], (3, 1): [10]}) == [((2, 1),), ((1, 1), (3, 1))]


def test_a_chain_is_one_unit():
    assert units({(1, 1): [10], (1, 2): [30], (1, 3): [20, 30], (1, 4): [10, 20]}) == [((1, 1), (1, 2), (1, 3), (1, 4))]


def test_a_row_without_numbers_is_alone():
    assert units({(1, 1): [], (1, 2): []}) == [((1, 1),), ((1, 2),)]


ROWS = st.dictionaries(st.tuples(st.integers(1, 3), st.integers(1, 9)), st.sets(st.integers(1, 9), max_size=3))


@given(ROWS)
def test_every_row_is_in_one_unit_and_no_number_in_two(rows):
    found = units(rows)

    assert sorted(row for unit in found for row in unit) == sorted(rows)
    numbers = [set().union(*(rows[row] for row in unit)) for unit in found]
    assert sum(map(len, numbers)) == len(set().union(*numbers))


def test_a_piece_is_tried_again_after_what_it_waits_for():
    done = []

    def attempt(pieces):
        if any(piece > 1 and piece - 1 not in [*done, *pieces[: pieces.index(piece)]] for piece in pieces):
            return Refusal(why="waits", whole=False)
        done.extend(pieces)
        return None

    assert as_far_as_possible([3, 2, 1], attempt) == {}
    assert done == [1, 2, 3]


def test_few_faults_among_many_are_found_in_few_attempts():
    attempts = []

    def attempt(pieces):
        attempts.append(pieces)
        return Refusal(why="not this one", whole=False) if 700 in pieces else None

    assert as_far_as_possible(range(1000), attempt) == {700: "not this one"}
    assert len(attempts) < 30
    assert sorted(piece for pieces in attempts if 700 not in pieces for piece in pieces) == [*range(700), *range(701, 1000)]


def test_what_no_piece_can_help_is_not_tried_in_pieces():
    attempts = []

    def attempt(pieces):
        attempts.append(pieces)
        return Refusal(why="another type", whole=True)

    assert as_far_as_possible([1, 2], attempt) == {1: "another type", 2: "another type"}
    assert len(attempts) == 1
