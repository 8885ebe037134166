"""The statements that move references, and note in the journal what the rows held. Composes text; runs nothing."""

from collections.abc import Sequence

from psycopg import sql

from ..archive_layout import into
from ..compose import NOTHING, comma, ident, template
from .images import Images
from .joins import cast, condition, refers
from .statements import SQL, new, of, old, rows_of, source
from .tree import Edge
from .writes import NOWHERE, WriteStatements


def move_together(writes: Sequence[WriteStatements], positions: Sequence[int]) -> sql.Composed:
    """The one statement that moves every reference of these tables; tells how many rows of each moved."""
    parts = [move(writes[p], p) for p in positions]
    names = [ident(f"~moved{p}") for p in positions]
    counts = comma(template("(SELECT count(*) FROM {}) AS {}").format(name, name) for name in names)
    return SQL["move"].format(moves=sql.SQL(",\n").join(parts), counts=counts)


def move(writes: WriteStatements, position: int) -> sql.Composed:
    """One table's part of the statement that moves every reference; to be joined with those of the others."""
    numbers = writes.numbers
    beyond = set(numbers) - set(writes.node.kept)
    before = template(
        ' JOIN {} AS "~before" ON "~before".ctid = "~r"."~tid" AND coalesce("~before".tableoid = "~r"."~rel", false)'
    )
    return SQL["move_table"].format(
        moved=ident(f"~moved{position}"),
        kept=ident(f"~journal{position}"),
        **writes.of_node.parts,
        values=comma(template("{} = {}").format(writes.of_node.bare(n), of("~r", new(n))) for n in writes.node.changed),
        before=before.format(writes.of_node.table) if beyond else NOTHING,
        journaled=writes.noted("~before" if beyond else None),
        **writes.into_journal(),
    )


def move_plain(writes: WriteStatements) -> sql.Composed:
    """The whole of a plain table's move; tells how many rows were found and how many moved."""
    (edge,), images = writes.node.incoming, Images(of_node=writes.of_node)
    found = [
        *((writes.of_node.column(n), old(n)) for n in writes.numbers),
        *((images.moved_value(n), new(n)) for n in writes.node.changed),
        *((images.moved_source(n), source(n)) for n in writes.node.changed),
    ]
    return SQL["move_plain"].format(
        table=writes.of_node.table,
        name=writes.of_node.name,
        parent=rows_of(writes.of_node.parents[edge.parent]),
        found=sql.Composed([template(", {} AS {}").format(value, name) for value, name in found]),
        joined=writes.of_node.joined(edge),
        changed=writes.of_node.altered(edge),
        condition=condition(edge),
        values=comma(template("{} = {}").format(writes.of_node.bare(n), of("~found", new(n))) for n in writes.node.changed),
        journaled=writes.noted(None, "~found"),
        **writes.into_journal(),
    )


def sweep(writes: WriteStatements, edge: Edge, parent: WriteStatements) -> sql.Composed:
    """Lead what still refers to an archived row of ``parent`` to its survivor."""
    assert parent.archive is not None
    numbers, ours = writes.numbers, {pair.child: pair for pair in edge.pairs}
    news = [
        (cast(ours[n], of("~s", parent.of_node.bare(ours[n].parent))), new(n))
        if n in ours
        else (writes.of_node.column(n), new(n))
        for n in writes.node.changed
    ]
    olds = [(writes.of_node.column(n), old(n)) for n in numbers]
    found = [*olds, *news, *((of("~a", ident("~row")) if n in ours else NOWHERE, source(n)) for n in writes.node.changed)]
    keys = {n: into(n) for n in parent.node.table.primary_key}
    return SQL["sweep"].format(
        table=writes.of_node.table,
        name=writes.of_node.name,
        parent=parent.of_node.table,
        archive=ident(writes.schema, parent.archive.name),
        ops=ident(writes.schema, "op"),
        found=sql.Composed([template(", {} AS {}").format(value, name) for value, name in found]),
        survivor=parent.same_key(ident("~s"), keys, "~a"),
        joined=refers(edge, parent.of_node.row("~a"), writes.of_node.column),
        present=refers(edge, parent.of_node.row("~x"), writes.of_node.column),
        condition=condition(edge),
        values=comma(template("{} = {}").format(writes.of_node.bare(n), of("~found", new(n))) for n in writes.node.changed),
        journaled=writes.noted(None, "~found"),
        **writes.into_journal(),
    )
