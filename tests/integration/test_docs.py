"""The documents say what the code does: every statement, every setting, and links that lead somewhere."""

from __future__ import annotations

import re

import pytest

from contacts_schema.refusals import MERGING
from contacts_schema.settings_arguments import OPTIONS
from contacts_schema.settings_sources import PARSERS, PREFIX
from sandbox.alembic_command import ROOT
from sandbox.server_databases import database
from sandbox.statement_names import all_names, name_of, text_of, used
from sandbox.statements import FILE, record, rendered

SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
]
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def recorded(postgres):
    with database(postgres.url) as url:
        return record(url)


def headings(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return HEADING.findall(BLOCK.sub("", text))


def anchor(heading: str) -> str:
    """GitHub's: lower case, spaces to hyphens, everything else but letters, digits, - and _ left out."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_statements_are_those_that_a_server_is_sent(recorded):
    assert FILE.read_text(encoding="utf-8") == rendered(recorded), "run `make docs`"


def test_every_named_statement_is_shown_on_its_own_or_as_a_part_of_another():
    shown = BLOCK.findall(FILE.read_text(encoding="utf-8"))

    assert sorted(used(block.replace("{{}}", "{}") for block in shown)) == all_names()


def test_what_the_example_ran_is_shown_as_it_ran(recorded):
    ran = {name for _, _, statements in recorded for s in statements if (name := name_of(s.text))}

    assert {"merge.take_duplicates", "merge.remove", "guard.create_function", "restore.insert"} < ran
    found = headings("docs/statements.md")
    assert ran <= set(found[: found.index("What the example did not need")])


@pytest.mark.parametrize("name", all_names())
def test_a_statement_knows_its_own_name(name):
    if name not in ALIKE:
        assert name_of(text_of(name).replace("{{}}", "{}")) == name


ALIKE = {"forward.comment_trigger", "forward.drop_function", "guard.comment_trigger", "guard.drop_function"}
"""The same text in two files."""


def test_every_setting_has_its_section():
    assert set(PARSERS) <= set(HEADING.findall(SETTINGS))


@pytest.mark.parametrize("name", PARSERS)
def test_every_setting_is_in_alembic_ini_with_its_variable_in_the_docs(name):
    assert re.search(rf"^#?\s*{name} =", (ROOT / "alembic.ini").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"{PREFIX}{name.upper()}" in SETTINGS


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_the_directives_is_a_setting(option):
    assert option in PARSERS


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for path, fragment in LINK.findall(text):
        if path.startswith("https://"):
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {path}"
        if fragment:
            there = str(target.resolve().relative_to(ROOT))
            assert fragment[1:] in map(anchor, headings(there)), f"{page}: {path}{fragment}"


def test_every_reason_to_refuse_is_in_the_runbook():
    sources = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "src" / "contacts_schema").rglob("*.py"))
    codes = {*re.findall(r'code="([a-z_]+)"', sources), *re.findall(r'_(?:reason|violation)\(\s*"([a-z_]+)",', sources)}
    codes |= set(re.findall(r'"([a-z_]+)"\)$', sources, re.MULTILINE)) & MERGING
    table = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8").split("| code |")[1].split("\n\n")[0]
    known = {code for row in table.splitlines() for code in re.findall(r"`([a-z_]+)`", row.split("|")[1])}

    assert codes | MERGING <= known
