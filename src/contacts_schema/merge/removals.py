"""The statements that remove duplicates into the archive, and fill survivors from it. Composes text; runs nothing."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from ..archive_layout import into
from ..compose import NOTHING, Fragment, comma, every, ident, some, template
from .joins import condition, refers
from .statements import SQL, new, of, rows_of, source
from .tree import Edge
from .writes import WriteStatements


def remove(writes: WriteStatements) -> sql.Composed:
    """Delete the rows that go into others, once nothing refers to them, into the archive."""
    assert writes.archive is not None
    table = writes.node.table
    return SQL["remove"].format(
        **writes.of_node.parts,
        same_key=writes.same_key(writes.of_node.name),
        unreferenced=every(_unreferenced(writes, edge) for edge in writes.references),
        keeper_key=comma(
            [*(of("~r", new(n)) for n in table.primary_key), *(of("~r", source(n)) for n in writes.node.changed)]
        ),
        columns=comma(writes.of_node.column(c.number) for c in table.stored),
        archived=comma(
            [
                *(into(n) for n in table.primary_key),
                *(source(n) for n in writes.node.changed),
                *(ident(c.name) for c in table.stored),
            ]
        ),
        archive=ident(writes.schema, writes.archive.name),
    )


def _unreferenced(writes: WriteStatements, edge: Edge) -> Fragment:
    """No row of the child refers to this one, but those that go with it."""
    child = writes.of_node.parents[edge.child]
    joined = refers(edge, writes.of_node.column, lambda n: of("~child", ident(child.table.by_number[n].name)))
    going: Fragment = NOTHING
    if edge.child == edge.parent:
        going = template(
            ' AND NOT EXISTS (SELECT FROM {} AS "~x" WHERE "~x"."~keeper" IS NOT NULL'
            ' AND "~x"."~tid" = "~child"."~tid" AND coalesce("~x"."~rel" = "~child"."~rel", false))'
        ).format(rows_of(child))
    name = ident(child.table.name)
    # A subquery of its own, because the user's condition may qualify columns with the table's name.
    rows = template('SELECT {}.*, {}.ctid AS "~tid", {}.tableoid AS "~rel" FROM {} AS {} WHERE {}').format(
        name, name, name, ident(child.table.schema, child.table.name), name, condition(edge)
    )
    return template('NOT EXISTS (SELECT FROM ({}) AS "~child" WHERE {}{})').format(rows, joined, going)


def fill_survivors(writes: WriteStatements, columns: Sequence[int]) -> sql.Composed:
    """Fill the survivors' empty columns from what the archive has just taken in."""
    assert writes.archive is not None
    keys = {n: into(n) for n in writes.node.table.primary_key}
    return SQL["fill"].format(
        table=writes.of_node.table,
        name=writes.of_node.name,
        values=comma(template("{} = {}").format(writes.of_node.bare(n), _first(writes, n, keys)) for n in columns),
        keeper_key=comma(of("~a", name) for name in keys.values()),
        archive=ident(writes.schema, writes.archive.name),
        same_key=writes.same_key(writes.of_node.name, keys, "~s"),
        same_before=writes.same_key(ident("~before"), keys, "~s"),
        lacking=some(_lacking(writes, n, keys) for n in columns),
        journaled=writes.noted("~before", None),
        **writes.into_journal(),
    )


def index_keepers(writes: WriteStatements) -> sql.Composed:
    """See that :func:`has_none` and :func:`fill_survivors` find what went into a row by an index."""
    assert writes.archive is not None
    return SQL["index_keepers"].format(
        index=ident(f"into_{writes.archive.name}".encode()[:63].decode(errors="ignore")),
        archive=ident(writes.schema, writes.archive.name),
        keeper=comma(into(n) for n in writes.node.table.primary_key),
    )


def has_none(writes: WriteStatements) -> sql.Composed:
    """Nothing was merged into this row so far in the ``run`` at hand."""
    assert writes.archive is not None
    keys = {n: into(n) for n in writes.node.table.primary_key}
    return SQL["has_none"].format(
        archive=ident(writes.schema, writes.archive.name),
        ops=ident(writes.schema, "op"),
        batches=ident(writes.schema, "batch"),
        same_key=writes.same_key(writes.of_node.name, keys, "~a"),
    )


def _candidates(writes: WriteStatements, number: int, keys: Mapping[int, sql.Identifier]) -> sql.Composed:
    own = ident(writes.node.table.by_number[number].name)
    return template('FROM {} AS "~v" WHERE "~v"."~op" = %(op)s AND {} AND "~v".{} IS DISTINCT FROM NULL').format(
        ident(writes.schema, writes.archive.name if writes.archive else ""),
        writes.same_key(writes.of_node.name, keys, "~v"),
        own,
    )


def _first(writes: WriteStatements, number: int, keys: Mapping[int, sql.Identifier]) -> sql.Composed:
    """The survivor's own value, else the best ranked duplicate's."""
    own = writes.of_node.bare(number)
    kept = template('CASE WHEN {} IS DISTINCT FROM NULL THEN {} ELSE (SELECT "~v".{} {} ORDER BY "~v"."~unit" LIMIT 1) END')
    column = writes.of_node.column(number)
    return kept.format(column, column, own, _candidates(writes, number, keys))


def _lacking(writes: WriteStatements, number: int, keys: Mapping[int, sql.Identifier]) -> sql.Composed:
    return template("({} IS NOT DISTINCT FROM NULL AND EXISTS (SELECT {}))").format(
        writes.of_node.column(number), _candidates(writes, number, keys)
    )
