import re
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contacts_schema.errors import SettingsError
from contacts_schema.settings import Reference, Settings
from contacts_schema.settings_arguments import applied, arguments
from contacts_schema.settings_parsing import (
    dotted,
    parse_collisions,
    parse_columns,
    parse_milliseconds,
    parse_name,
    parse_names,
    quoted,
)
from contacts_schema.settings_sources import parse_references, read_settings

VALID = (
    "schema, table, workspace_column, phone_column, survivor_order, fill, references, ignore_references, "
    "collisions, blank_phones, batch_size, lock_timeout, lock_attempts, private_schema"
)

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda name: len(name.encode()) <= 63
)
schemas = st.none() | names


@st.composite
def references(draw: st.DrawFn) -> Reference:
    table, column, schema = (draw(st.none() | names) for _ in range(3))
    assume(table or not column)
    return Reference(
        schema=draw(schemas),
        table=draw(names),
        column=draw(names),
        target_schema=schema if column else None,
        target_table=table,
        target_column=column,
        condition=draw(st.sampled_from([None, "kind = 'Contact'", "(a OR b)", "(\"where\" = 'x;\ny'\n  AND z)"])),
    )


@given(names)
def test_a_name_of_any_characters_comes_back(name: str) -> None:
    assert parse_name(quoted(name)) == name


@given(st.lists(names, max_size=4))
def test_a_list_of_names_comes_back(several: list[str]) -> None:
    assert parse_names(", ".join(map(quoted, several))) == tuple(several)


@given(st.lists(st.tuples(schemas, names, names), max_size=3))
def test_columns_of_any_names_come_back(columns: list[tuple[str | None, str, str]]) -> None:
    assert parse_columns("\n".join(dotted(*column) for column in columns)) == tuple(columns)


@given(st.lists(st.tuples(schemas, names, st.sampled_from(["merge", "refuse"])), max_size=3))
def test_collisions_of_any_names_come_back(collisions: list[tuple[str | None, str, str]]) -> None:
    text = ",".join(f"{dotted(schema, table)}={action}" for schema, table, action in collisions)
    assert parse_collisions(text) == tuple(collisions)


@given(st.lists(references(), max_size=3), st.sampled_from(["\n", ";", " ;\r\n\n"]))
def test_references_of_any_names_come_back(several: list[Reference], separator: str) -> None:
    assert parse_references(separator.join(map(str, several))) == tuple(several)


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    names = (
        "references",
        "fill",
        "lock_timeout",
        "survivor_order",
        "collisions",
        "ignore_references",
        "table",
    )
    with suppress(SettingsError):
        read_settings([f"{name}={text}" for name in names])


def test_defaults() -> None:
    assert read_settings() == Settings()
    assert Settings().phone_column == "phone"


def test_the_sources_come_in_order() -> None:
    section = {"table": "of_the_file", "schema": "of_the_file", "fill": "of_the_file"}
    environment = {
        "CONTACTS_SCHEMA_TABLE": "of_the_environment",
        "CONTACTS_SCHEMA_SCHEMA": "of_the_environment",
    }
    settings = read_settings(["table=of_x"], environment, section)
    assert (settings.table, settings.schema, settings.fill) == (
        "of_x",
        "of_the_environment",
        ("of_the_file",),
    )


def test_an_empty_environment_variable_is_unset() -> None:
    assert read_settings([], {"CONTACTS_SCHEMA_TABLE": ""}, {"table": "people"}).table == "people"


def test_an_empty_argument_takes_back_what_the_file_says() -> None:
    section = {"fill": "email", "batch_size": "7", "references": "a.b", "survivor_order": "id"}
    given = ["fill=", "batch_size=", "references=", "survivor_order="]
    assert read_settings(given, {}, section) == Settings()


def test_every_setting_from_text() -> None:
    settings = read_settings(
        [
            "schema=crm",
            "table=People",
            "workspace_column=org",
            'phone_column="Phone No."',
            "survivor_order=created_at DESC NULLS LAST, id",
            'fill=email, "Full, Name"',
            "references=notes.subject_id where subject_type in ('a;b', 'c') ; app.log.who -> crm.people.uid",
            "ignore_references=imports.contact_id, app.raw.contact_id",
            "collisions=tags=merge, app.prefs=refuse",
            "blank_phones=null",
            "batch_size=200",
            "lock_timeout=1.5s",
            "lock_attempts=7",
            "private_schema=cs",
        ],
        only_ours=True,
    )
    assert settings == Settings(
        schema="crm",
        table="People",
        columns=("org", "Phone No."),
        survivor_order="created_at DESC NULLS LAST, id",
        fill=("email", "Full, Name"),
        references=(
            Reference(table="notes", column="subject_id", condition="subject_type in ('a;b', 'c')"),
            Reference(
                schema="app",
                table="log",
                column="who",
                target_schema="crm",
                target_table="people",
                target_column="uid",
            ),
        ),
        ignore_references=((None, "imports", "contact_id"), ("app", "raw", "contact_id")),
        collisions=((None, "tags", "merge"), ("app", "prefs", "refuse")),
        blank_phones="null",
        batch_size=200,
        lock_timeout=1500,
        lock_attempts=7,
        private_schema="cs",
    )


@pytest.mark.parametrize(
    ("text", "target"),
    [("a.b -> c", (None, "c", None)), ("a.b -> c.d", (None, "c", "d")), ("a.b->c.d.e", ("c", "d", "e"))],
)
def test_targets(text: str, target: tuple[str | None, str, str | None]) -> None:
    (reference,) = parse_references(text)
    assert (reference.target_schema, reference.target_table, reference.target_column) == target


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("100", 100), ("100ms", 100), ("1s", 1000), ("0.5 s", 500), ("2min", 120_000)]
)
def test_lengths_of_time(text: str, milliseconds: int) -> None:
    assert parse_milliseconds(text) == milliseconds


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "lock_timeout=fast",
            (
                'lock_timeout "fast" (from -x) is not a length of time above 0; '
                'use milliseconds ("100", "100ms"), "1s" or "1min"'
            ),
        ),
        ("lock_attempts=0", 'lock_attempts "0" (from -x) is not a whole number from 1'),
        ("batch_size=many", 'batch_size "many" (from -x) is not a whole number from 1'),
        ("blank_phones=drop", 'blank_phones "drop" (from -x) is neither "refuse" nor "null"'),
        (
            "table=crm.contacts",
            (
                'table "crm.contacts" (from -x) holds a dot; '
                "give one bare name, or put it in double quotes if the dot belongs to it"
            ),
        ),
        (
            'table=a"b',
            'table "a"b" (from -x) has a stray double quote; write it as "...", with a quote inside doubled',
        ),
        ("schema=", 'schema "" (from -x) is empty; give a name'),
        ("private_schema=public", 'private_schema "public" (from -x) is the table\'s schema; give another'),
        (
            "fill=email, phone",
            'fill "phone" (from -x) belongs to the key, which is the same in all rows of a group',
        ),
        (
            "phone_column=workspace_id",
            'columns "workspace_id" (from -x) is named twice; name each column of the key once',
        ),
        (
            "ignore_references=contact_id",
            'ignore_references "contact_id" (from -x) needs 2 or 3 names joined by dots, not 1',
        ),
        (
            "collisions=tags=keep",
            'collisions "tags=keep" (from -x) needs entries of the form "[schema.]table=merge" or "=refuse"',
        ),
        (
            "references=notes",
            'references "notes" (from -x) needs 2 or 3 names joined by dots, not 1',
        ),
        (
            "references=a.b where",
            (
                'references "a.b where" (from -x) has an entry that is not '
                '"[schema.]table.column [-> [schema.]table[.column]] [where CONDITION]"'
            ),
        ),
        (
            "references=a.b -> public.contacts",
            (
                'references "a.b" (from -x) has a target of two names, which are a table and its column; '
                "name schema, table and column"
            ),
        ),
        (
            "survivor_order=id; DROP",
            'survivor_order "id; DROP" (from -x) holds ";" or a comment; give one expression',
        ),
        (
            "survivor_order=f(id",
            'survivor_order "f(id" (from -x) has a quote or a parenthesis without its partner',
        ),
    ],
)
def test_a_bad_value_is_named_with_its_source_and_what_would_do(argument: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        read_settings([argument])


@pytest.mark.parametrize("argument", ["phone_column=+49 170 123 45 67 {", "references=a.b where p = '+491701234567' ("])
def test_no_message_holds_a_phone_number(argument: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings([argument, "lock_timeout=4917012345678"])
    assert not re.search(r"\d{5}", str(error.value))


def test_unknown_names_are_named_with_the_nearest_and_all_valid_ones() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(["tabel=x"], {"CONTACTS_SCHEMA_FIL": "x"}, {"colour": "x"}, only_ours=True)
    variables = ", ".join(f"CONTACTS_SCHEMA_{name.upper()}" for name in VALID.split(", "))
    assert str(error.value).splitlines() == [
        "settings are wrong, 3 problems:",
        f'  1. -x "tabel" is no setting; did you mean table? valid: {VALID}',
        (
            '  2. environment variable "CONTACTS_SCHEMA_FIL" is no setting; '
            f"did you mean CONTACTS_SCHEMA_FILL? valid: {variables}"
        ),
        f'  3. "colour" in [contacts_schema] in alembic.ini is no setting; valid: {VALID}',
    ]


def test_in_a_project_of_others_their_x_arguments_are_theirs() -> None:
    assert read_settings(["tenant=a", "dry-run"]) == Settings()


def test_all_problems_at_once_wherever_they_are_found() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(["lock_timeout=x"], {"CONTACTS_SCHEMA_FILL": "a, a"}, {"batch_size": "x"})
    assert [(problem.name, problem.source) for problem in error.value.problems] == [
        ("batch_size", "[contacts_schema] in alembic.ini"),
        ("lock_timeout", "-x"),
        ("fill", "environment CONTACTS_SCHEMA_FILL"),
    ]


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(SettingsError) as error:
        Settings(
            columns=(),
            lock_timeout=-1,
            private_schema="pg_x",
            table="x" * 64,
            references=(Reference(table="a", column="b"), Reference(table="a", column="b")),
            ignore_references=((None, "a", "b"),),
            collisions=(("public", "t", "merge"), (None, "t", "refuse")),
        )
    assert str(error.value).splitlines() == [
        "settings are wrong, 7 problems:",
        f'  1. table "{"x" * 64}" is longer than the 63 bytes of a name in PostgreSQL',
        '  2. private_schema "pg_x" begins with "pg_", which is reserved',
        "  3. columns are empty; name the key's columns, the phone last",
        '  4. lock_timeout "-1" is not a whole number from 1',
        '  5. references "a.b" is declared twice; declare it once',
        '  6. ignore_references "a.b" is declared in references too; choose one',
        '  7. collisions "public.t" is named twice; name each table once',
    ]


def test_arguments_win_over_settings() -> None:
    settings = Settings(table="people", fill=("email",))
    given = arguments(None, ["org", "tel"], None, "uq", {"batch_size": 5, "references": "notes.person_id"})
    assert applied(settings, given) == Settings(
        table="people",
        columns=("org", "tel"),
        constraint="uq",
        fill=("email",),
        batch_size=5,
        references=(Reference(table="notes", column="person_id"),),
    )


def test_settings_of_one_table_say_nothing_about_another() -> None:
    settings = Settings(fill=("email",), references=parse_references("notes.contact_id"), lock_attempts=3)
    given = arguments("people", "tel", None, "uq_tel", {})
    assert applied(settings, given) == Settings(table="people", columns=("tel",), constraint="uq_tel", lock_attempts=3)


def test_another_table_has_to_name_its_key_and_constraint() -> None:
    with pytest.raises(SettingsError) as error:
        applied(Settings(), arguments("people", None, None, None, {}))
    why = "is missing; an operation on another table than the settings' own has to name it"
    assert [str(problem) for problem in error.value.problems] == [f"columns {why}", f"constraint_name {why}"]


@pytest.mark.parametrize("empty", ["table_name", "schema", "constraint_name"])
def test_an_empty_name_is_an_error_and_not_the_settings_own(empty: str) -> None:
    """A variable that is not set must not merge another table."""
    named = {"table_name": "people", "columns": "tel", "schema": "crm", "constraint_name": "uq_tel"} | {empty: ""}
    with pytest.raises(SettingsError, match="empty"):
        applied(Settings(), arguments(**named, options={}))


def test_an_unknown_argument_is_named_with_the_nearest() -> None:
    with pytest.raises(SettingsError) as error:
        arguments(None, None, None, None, {"survivor_ordr": "id"})
    assert str(error.value) == (
        'argument "survivor_ordr" is no setting; did you mean survivor_order? valid: survivor_order, fill, '
        "references, ignore_references, collisions, blank_phones, batch_size, lock_timeout, lock_attempts, "
        "private_schema"
    )


def test_a_bad_argument_is_named() -> None:
    with pytest.raises(SettingsError) as error:
        applied(Settings(), arguments(None, None, None, None, {"references": "notes"}))
    assert str(error.value) == ("references (from the operation's arguments) needs 2 or 3 names joined by dots, not 1")


@pytest.mark.parametrize("argument", ["survivor_order=a\udc80", "references=a.b where c = '\udc80'"])
def test_sql_that_is_no_text(argument: str) -> None:
    with pytest.raises(SettingsError, match=r"is no text that PostgreSQL can store$"):
        read_settings([argument])


@pytest.mark.parametrize("name", ["batch_size", "lock_attempts", "lock_timeout"])
def test_numbers_end_where_those_of_the_server_do(name: str) -> None:
    assert getattr(read_settings([f"{name}=2147483647"]), name) == 2**31 - 1
    for value in (2**31, 10**30):
        more: dict[str, Any] = {name: value}
        with pytest.raises(SettingsError, match=f'^{name} ".*" is more than 2147483647, which is the most$'):
            replace(Settings(), **more)
    with pytest.raises(SettingsError):
        read_settings([f"{name}={'9' * 5000}"])


def test_arguments_may_be_lists_of_texts_and_a_dict() -> None:
    options = {
        "references": ["notes.subject_id where kind = 'a;b'", Reference(table="calls", column="contact_id")],
        "ignore_references": ["notes.contact_id", (None, "mails", "contact_id")],
        "collisions": {"tags": "merge", "crm.tags": "refuse"},
        "fill": ["email", "full name"],
    }
    found = applied(Settings(), arguments(None, None, None, None, options))
    assert [str(reference) for reference in found.references] == [
        "notes.subject_id where kind = 'a;b'",
        "calls.contact_id",
    ]
    assert found.ignore_references == ((None, "notes", "contact_id"), (None, "mails", "contact_id"))
    assert found.collisions == ((None, "tags", "merge"), ("crm", "tags", "refuse"))
    assert found.fill == ("email", "full name")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("table_name", 5, "takes text"),
        ("columns", [1, 2], "takes text or a list of names"),
        ("columns", 7, "takes text or a list of names"),
        ("schema", ["a"], "takes text"),
        ("constraint_name", 7, "takes text"),
        ("private_schema", 3, "takes text"),
        ("survivor_order", ["id"], "takes text"),
        ("blank_phones", False, "takes text"),
        ("fill", ["email", None], "takes text or a list of names"),
        ("fill", {"email"}, "takes text or a list of names"),
        ("references", [3], "takes text or a list of texts, each "),
        ("references", Reference(table="a", column="b", condition=cast(Any, 3)), "takes text or a list of texts, each "),
        ("ignore_references", [("a", "b")], "takes text or a list of texts, each "),
        ("ignore_references", 3, "takes text or a list of texts, each "),
        ("collisions", {"tags": 3}, 'takes text or a dict of tables, each with "merge" or "refuse"'),
        ("collisions", {"tags": "foo"}, 'needs entries of the form "[schema.]table=merge" or "=refuse"'),
        ("batch_size", True, "is not a whole number from 1"),
        ("lock_timeout", 1.5, "is not a whole number from 1"),
        ("lock_attempts", 2**31, "is more than 2147483647, which is the most"),
    ],
)
def test_an_argument_of_a_wrong_type(name: str, value: object, expected: str) -> None:
    given: dict[str, Any] = dict.fromkeys(("table_name", "columns", "schema", "constraint_name"))
    options = {} if name in given else {name: value}
    with pytest.raises(SettingsError, match=f"^{name} \\(from the operation's arguments\\) {re.escape(expected)}"):
        arguments(**(given | ({name: value} if name in given else {})), options=options)


def test_all_wrong_arguments_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        arguments(None, cast(Any, 7), None, None, {"batch_size": "x", "fill": 3, "lock_timeout": 1.5, "colour": 1})
    assert [problem.name for problem in error.value.problems] == [
        'argument "colour"',
        "columns",
        "batch_size",
        "fill",
        "lock_timeout",
    ]
