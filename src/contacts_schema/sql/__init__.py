"""Statement text: named, commented, kept in ``.sql`` files that a database administrator can read."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import LiteralString, cast

from psycopg import sql

_HEADING = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def load(family: str) -> Mapping[str, sql.SQL]:
    """Return the statements of ``<family>.sql`` by name, their comments included.

    Every statement is a template for :meth:`psycopg.sql.SQL.format`: identifiers and fragments go into ``{}``,
    values are ``%(name)s`` parameters.
    """
    text = resources.files(__package__).joinpath(f"{family}.sql").read_text(encoding="utf-8")
    return dict(_statements(text))


def _statements(text: str) -> Iterator[tuple[str, sql.SQL]]:
    _, *parts = _HEADING.split(text)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        # The files ship with the package: their text is as trusted as a literal in the code.
        yield name, sql.SQL(cast(LiteralString, body.strip().rstrip(";")))
