"""What belongs together goes back together, and pieces are tried as long as that helps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contacts_schema.restore.pieces import as_far_as_possible, units


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

    def attempt(piece: int) -> str | None:
        if piece > 1 and piece - 1 not in done:
            return "waits"
        done.append(piece)
        return None

    assert as_far_as_possible([3, 2, 1], attempt) == {}
    assert done == [1, 2, 3]


def test_what_does_not_go_is_left_with_the_reason():
    assert as_far_as_possible([1, 2], lambda piece: f"not {piece}" if piece == 2 else None) == {2: "not 2"}
