"""How a script begins: alone, its tables locked, and the catalog still the one that it was rendered for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from psycopg import Connection, sql

from ..catalog.facts import Table
from ..catalog.read import fingerprint_query, look_alikes_query
from ..compose import Fragment, comma, ident, literal, some, template
from ..errors import Reason
from ..merge.tree import Tree
from ..run_lock import lock_key
from ..session import OWN_PATH
from ..settings import Settings
from ..suspects import singular
from .text import SQL, Text, embedded


def open_script(text: Text, settings: Settings, target: Table, tables: Sequence[Table]) -> None:
    """Settings for the transaction, the run's lock, and a lock on every table that is written to."""
    text.run(SQL["session"].format(schema=ident(settings.schema)))
    first, second = map(sql.Literal, lock_key(target.oid))
    text.refuse(SQL["not_alone"].format(first=first, second=second), _ANOTHER_RUN)
    ordered = sorted(tables, key=lambda table: table.oid)
    text.block(SQL["lock_tables"], tables=comma(ident(table.schema, table.name) for table in ordered))
    text.refuse_if(sql.SQL("pg_catalog.current_setting('track_counts') <> 'on'"), _BLIND)


def require_same(text: Text, connection: Connection[Any], queries: Iterable[Fragment]) -> None:
    """Stop where one of the queries gives another value than it does now; from here on the session's own path counts."""
    for query in queries:
        row = connection.execute(query.as_bytes(connection), {}).fetchone()
        assert row is not None
        text.refuse_if(template("({}) IS DISTINCT FROM {}").format(query, sql.Literal(row[0])), CHANGED)
    text.run(SQL["own_path"].format(path=sql.SQL(OWN_PATH.removeprefix("SELECT "))))


def catalog_of(tables: Iterable[Table]) -> Fragment:
    """A value that changes with whatever a merge relies on in these tables."""
    return fingerprint_query(table.oid for table in tables)


def look_alikes(settings: Settings, tree: Tree) -> Fragment:
    """A value that changes with the columns, anywhere, that look as if they referred to rows which can be merged."""
    named = some(condition for node in tree.nodes if node.merges for condition in named_after(node.table.name))
    columns = embedded(look_alikes_query(), private_schema=settings.private_schema)
    return SQL["look_alikes"].format(columns=columns, named=named)


def named_after(table: str) -> Iterator[Fragment]:
    """Conditions that a column is named as one that holds keys of the table."""
    for name in sorted(singular(table)):
        yield SQL["named_after"].format(name=literal(name), length=sql.Literal(len(name)))


_ANOTHER_RUN = Reason(
    problem="another run is going on over this table",
    way_on="wait for its end, then run the script again",
    code="another_run",
)
_BLIND = Reason(
    problem="track_counts is off: what triggers and cascades do to other rows cannot be seen",
    way_on="switch it on for this database, then run the script again",
    code="track_counts",
)
CHANGED = Reason(
    problem="the tables are not as they were when this script was rendered, or this is another database",
    way_on="render the script again, against this database",
    code="catalog_changed",
)
