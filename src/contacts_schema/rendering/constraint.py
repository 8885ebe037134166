"""The constraint as a statement of its own, and the proof that it did what it says."""

from collections.abc import Sequence

from ..compose import Fragment, comma, ident, literal, template
from ..errors import Reason
from ..settings import Settings
from .text import SQL, Text


def add_constraint(text: Text, settings: Settings, columns: Sequence[str]) -> None:
    """Where no duplicate is left."""
    table, name = ident(settings.schema, settings.table), ident(settings.constraint)
    text.run(SQL["add_constraint"].format(table=table, name=name, columns=comma(map(ident, columns))))
    text.refuse_if(template("NOT {}").format(_is_there(settings)), _FAILED)


def drop_constraint(text: Text, settings: Settings) -> None:
    """Take it away, so that duplicates can come back."""
    text.run(SQL["drop_constraint"].format(table=ident(settings.schema, settings.table), name=ident(settings.constraint)))
    text.refuse_if(_is_there(settings), _FAILED)


def _is_there(settings: Settings) -> Fragment:
    return SQL["constraint_is_there"].format(
        schema=literal(settings.schema), table=literal(settings.table), name=literal(settings.constraint)
    )


_FAILED = Reason(
    problem="the statement before this one has failed",
    way_on="look at its message, and run the script again",
    code="statement_failed",
)
