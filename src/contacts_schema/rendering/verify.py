"""`verify` as a script that reads the catalog when it runs, so that it needs no database to be rendered."""

from psycopg import sql

from ..compose import Fragment, fragment, ident, literal, literals, plain, template
from ..settings import Reference, Settings
from ..sql import load
from .text import text_of

_SQL = load("verify_script")
NULL = sql.SQL("NULL")


def verify_script(settings: Settings) -> str:
    """One string for psql or an SQL editor, whose last statement gives a line for each check."""
    declared = [_declared(reference, settings) for reference in settings.references]
    script = _SQL["script"].format(
        constraint=literal(settings.constraint),
        schema=literal(settings.schema),
        table=literal(settings.table),
        columns=literals(settings.columns),
        declared=sql.SQL("\n      UNION ALL\n        ").join(declared or [_SQL["nothing_declared"].format()]),
    )
    return f"{text_of(script)};\n"


def _declared(reference: Reference, settings: Settings) -> Fragment:
    target = ident(reference.target_schema or settings.schema, reference.target_table or settings.table)
    return _SQL["declared"].format(
        schema=literal(reference.schema or settings.schema),
        table=literal(reference.table),
        column=literal(reference.column),
        condition=literal(plain(_dangles(reference, target))),
        key=literal(plain(ident(reference.target_column))) if reference.target_column else NULL,
        target=literal(plain(target)),
    )


def _dangles(reference: Reference, target: sql.Identifier) -> Fragment:
    """The condition that a row refers to nothing; its own condition may qualify columns with the table's name.

    Compared as text: a polymorphic reference may hold keys of several types.
    """
    condition = template("c.{} IS NOT NULL AND NOT EXISTS (SELECT FROM {} AS p WHERE p.~key::text = c.{}::text)").format(
        ident(reference.column), target, ident(reference.column)
    )
    if reference.condition is None:
        return condition
    meant = template("(SELECT ({}) FROM (SELECT c.*) AS {})").format(fragment(reference.condition), ident(reference.table))
    return template("{} AND {}").format(meant, condition)
