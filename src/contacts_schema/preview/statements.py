"""The statements that a preview asks beyond those of the merge. Composes text; runs nothing."""

from collections.abc import Sequence

from psycopg import sql

from ..compose import comma, every, ident, literal, some, template
from ..merge.root import RootStatements, blank
from ..sql import load

_SQL = load("preview")

FILLED = "~filled"
_PUNCTUATION = " \t\u00a0()-./+"


def biggest_groups(root: RootStatements) -> sql.Composed:
    """The key but the phone as text, the phone, and the rows of the biggest groups; takes ``limit``."""
    *_, phone = root.key
    return _SQL["biggest_groups"].format(others=_others(root), phone=_work(phone), keys=comma(map(_work, root.key)))


def workspaces(root: RootStatements) -> sql.Composed:
    """The key but the phone, and its groups and duplicates; takes ``limit``."""
    *others, _ = root.key
    grouped = comma(map(_work, others)) if others else sql.SQL("()")
    return _SQL["workspaces"].format(others=_others(root), keys=comma(map(_work, root.key)), grouped=grouped)


def near(root: RootStatements) -> sql.Composed:
    """How many keys would be one if the phone were written in one way."""
    *others, phone = [root.of_node.bare(number) for number in root.key]
    bare = template("pg_catalog.translate({}::text, {}, '')").format(phone, literal(_PUNCTUATION))
    return _SQL["near"].format(
        table=root.of_node.table,
        has_key=every(
            [
                *(template("{} IS NOT NULL").format(root.of_node.bare(number)) for number in root.key),
                template("NOT {}").format(blank(phone)),
            ]
        ),
        keys=comma([*others, bare]),
        phone=phone,
    )


def fillable(root: RootStatements, columns: Sequence[int], fill: Sequence[int]) -> sql.Composed:
    """A count for each of the columns, by its name, and one for the groups that lack any of ``fill``."""
    names = [(ident(f"~c{number}"), root.of_node.bare(number)) for number in columns]
    counted = template("count(*) FILTER (WHERE {}) AS {}")
    any_filled = some(ident(f"~c{number}") for number in fill if number in columns)
    lacking = '(bool_or("~s".{} IS NULL AND "~d".{} IS NOT NULL)) AS {}'
    return _SQL["fillable"].format(
        counts=comma([*(counted.format(flag, column) for flag, column in names), counted.format(any_filled, ident(FILLED))]),
        lacking=comma(template(lacking).format(column, column, flag) for flag, column in names),
        rows=root.of_node.rows,
        table=root.of_node.table,
    )


def samples(root: RootStatements) -> sql.Composed:
    """Rows of the biggest groups, their columns as text; takes ``limit`` for groups and ``rows`` for each."""
    values = comma(template('"~t".{}::text').format(ident(column.name)) for column in root.table.columns)
    return _SQL["samples"].format(
        rows=root.of_node.rows, table=root.of_node.table, values=template("ARRAY[{}]").format(values)
    )


def _work(number: int) -> sql.Identifier:
    return ident(f"~k{number}")


def _others(root: RootStatements) -> sql.Composed:
    return template("ARRAY[{}]::text[]").format(comma(template("{}::text").format(_work(n)) for n in root.key[:-1]))
