"""The page of `contacts-schema plan --html` in a real browser: it opens, searches, sorts, prints."""

from __future__ import annotations

import re

import pytest

from sandbox.browser import opened, program
from tests.migration.observed import execute
from tests.operator.test_plan import ROWS, TABLE

pytestmark = pytest.mark.skipif(program() is None, reason="there is no Chromium")

SHOWN = "[...document.querySelectorAll('details.group:not([hidden]) summary')].map(each => each.textContent)"


@pytest.fixture
def page(command, elsewhere, database_url):
    execute(database_url, TABLE, ROWS)
    assert command(database_url, "plan", "--html", "plan.html").returncode == 2
    with opened(elsewhere / "plan.html") as page:
        yield page


def test_it_opens_and_asks_nobody_for_anything(page):
    assert page.run("document.title") == "public.contacts: unique workspace_id, phone"
    assert page.run("document.querySelectorAll('svg rect').length") == 2
    assert [url for url in page.requests if not url.startswith("file:")] == []


def test_it_shows_no_phone_number(page):
    for text in ("document.body.innerText", "document.documentElement.outerHTML"):
        assert not re.search(r"555\D?0", page.run(text))


def test_it_searches(page):
    assert len(page.run(SHOWN)) == 2
    page.run("search.value = 'B@EXAMPLE'; search.dispatchEvent(new Event('input'))")
    assert page.run(SHOWN) == ["1 · ***01: 3 rows"]
    assert page.run("document.querySelector('#shown').textContent") == "1"
    page.run("search.value = ''; search.dispatchEvent(new Event('input'))")
    assert len(page.run(SHOWN)) == 2


def test_it_sorts(page):
    page.run("window.heads = [...document.querySelectorAll('th button')].filter(each => each.textContent === 'changed')")
    tables = "[...heads[0].closest('table').tBodies[0].rows].map(row => Number(row.cells[1].dataset.value))"
    page.run("heads[0].click()")
    assert page.run(tables) == sorted(page.run(tables))
    page.run("heads[0].click()")
    assert page.run(tables) == sorted(page.run(tables), reverse=True)
    assert page.run("heads[0].closest('th').getAttribute('aria-sort')") == "descending"


def test_it_prints_with_every_group_open_and_closes_them_again(page):
    page.run("addEventListener('beforeprint', () => window.printed = document.querySelectorAll('details[open]').length)")

    assert page.print().startswith(b"%PDF-")

    assert page.run("window.printed") == 2
    assert page.run("document.querySelectorAll('details[open]').length") == 0
