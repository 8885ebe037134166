"""`contacts-schema plan --html`: one page, whole in itself, that shows no phone number."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.migration.observed import execute
from tests.operator.test_plan import ROWS, TABLE

ODD = "<script>alert('x')</script> & \"quoted\" $body"
VOID = {"meta", "input", "br"}


class Outline(HTMLParser):
    """The text of each element of a kind, and whether every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data


@pytest.fixture
def url(database_url):
    execute(database_url, TABLE, ROWS)
    return database_url


def written(command, url, elsewhere, *arguments):
    done = command(url, "plan", "--html", "plan.html", *arguments)
    return done, elsewhere.joinpath("plan.html").read_text(encoding="utf-8")


def test_it_shows_each_group_with_its_survivor_first(command, elsewhere, url):
    done, text = written(command, url, elsewhere)
    page = Outline(text)

    assert done.returncode == 2
    assert page.open == []
    assert page.texts["summary"] == ["1 · ***01: 3 rows", "2 · ***02: 2 rows"]
    survivors = re.findall(r'<tr class="survivor"><td>(\d+)</td>', text)
    duplicates = re.findall(r'<tr class="duplicate"><td>(\d+)</td>', text)
    assert (survivors, duplicates) == (["1", "5"], ["2", "3", "6"])


def test_it_fetches_nothing(command, elsewhere, url):
    _, text = written(command, url, elsewhere)

    assert Outline(text).links == []
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_it_shows_no_phone_unless_asked_for(command, elsewhere, url):
    execute(url, "UPDATE contacts SET email = 'call +1 555 000 0009' WHERE id = 2")
    _, text = written(command, url, elsewhere)
    _, whole = written(command, url, elsewhere, "--show-phones")

    assert not re.search(r"555\D?0", text)
    assert "+15550000001" in whole
    assert "call +1 555 000 0009" in whole


def test_what_stands_in_the_table_is_text_and_nothing_else(command, elsewhere, url):
    execute(url, f"UPDATE contacts SET email = $odd${ODD}$odd$", 'ALTER TABLE contacts RENAME email TO "<b>$made</b>"')
    _, text = written(command, url, elsewhere)
    page = Outline(text)

    assert page.open == []
    assert ODD in page.texts["td"]
    assert "<b>$made</b>" in page.texts["th"]
    assert len(page.texts["script"]) == 1


def test_a_refusal_is_on_the_page(command, elsewhere, url):
    execute(url, "CREATE TABLE deals (id serial PRIMARY KEY, contact_id int)")
    done, text = written(command, url, elsewhere)

    assert done.returncode == 1
    assert "looks like a reference" in text
    assert "An upgrade would refuse." in text


def test_large_groups_and_many_groups_are_cut_short_and_that_is_said(command, elsewhere, url):
    execute(
        url,
        "INSERT INTO contacts SELECT 100 + n, 7, '+17770000000', NULL, '2026-01-01' FROM generate_series(1, 30) AS n",
        "INSERT INTO contacts SELECT 1000 + n, 8, '+1888' || n / 2, NULL, '2026-01-01' FROM generate_series(0, 599) AS n",
    )
    _, text = written(command, url, elsewhere)
    page = Outline(text)

    assert len(page.texts["details"]) == 200
    assert "and 10 more" in text
    assert "The other 103 are not on this page." in text


def test_a_file_that_cannot_be_written_is_a_clear_error(command, elsewhere, url):
    done = command(url, "plan", "--html", "nowhere/plan.html")
    assert done.returncode == 1
    assert "nowhere/plan.html" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_duplicates_the_page_says_so(command, elsewhere, database_url):
    execute(database_url, TABLE)
    _, text = written(command, database_url, elsewhere)
    assert "There are no duplicates" in text
