"""Pieces of statements: what is quoted, and what the driver must not read."""

from __future__ import annotations

import pytest
from psycopg import sql

from contacts_schema.compose import comma, differ, every, fragment, ident, identical, literal, some, template


def text(piece: sql.Composable) -> str:
    return piece.as_string(None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("contacts",), '"contacts"'),
        (("public", "contacts"), '"public"."contacts"'),
        (('say "hi"',), '"say ""hi"""'),
        (("50% off",), '"50%% off"'),
    ],
)
def test_identifiers(names, expected):
    assert text(ident(*names)) == expected


def test_percent_signs_are_doubled_for_the_driver():
    assert text(literal("it's 5%")) == "'it''s 5%%'"
    assert text(fragment("name LIKE '%x'")) == "name LIKE '%%x'"
    assert text(template("{} LIKE %(x)s").format(ident("a"))) == '"a" LIKE %(x)s'


def test_braces_of_catalog_text_are_not_placeholders():
    assert text(template("({})").format(fragment("tags = '{a,b}'"))) == "(tags = '{a,b}')"


def test_lists():
    a, b = fragment("a"), fragment("b")

    assert text(comma([a, b])) == "a, b"
    assert text(every([a, b])) == "a AND b"
    assert text(some([a, b])) == "(a OR b)"


def test_empty_lists_are_neutral():
    assert text(every([])) == "true"
    assert text(some([])) == "false"


def test_rows_are_compared_bit_for_bit():
    left, right = [fragment("a"), fragment("b")], [fragment("c"), fragment("d")]

    assert text(differ(left, right)) == "pg_catalog.record_image_ne(ROW(a, b), ROW(c, d))"
    assert text(identical(left, right)) == "pg_catalog.record_image_eq(ROW(a, b), ROW(c, d))"
