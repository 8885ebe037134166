"""Where the changes to one table of the merge are noted: the columns of its archive and of its journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ..archive import Archive, Relation
from ..archive_layout import key
from ..compose import Fragment, comma, every, fragment, ident, template
from .resolve import Resolver
from .statements import NodeStatements, new, of, old, source
from .tree import Edge, Node

NOWHERE = sql.SQL("NULL::bigint")


def journaled(node: Node, fill: Sequence[int]) -> tuple[int, ...]:
    """Columns whose old and new values go to the journal: those that are set, all where a trigger may set others.

    A row without a primary key is journaled whole, to be found again.
    """
    if node.stamped or not node.table.primary_key:
        return tuple(c.number for c in node.table.columns if not c.generated)
    return tuple(sorted({*node.changed, *fill}))


def writes_of(resolver: Resolver, archive: Archive, fill: Sequence[int]) -> "list[WriteStatements]":
    """What each node of a tree writes to, its archive and journal found or made."""
    return [_writes_of(resolver.statements[node.position], archive, fill) for node in resolver.tree.nodes]


def _writes_of(of_node: NodeStatements, archive: Archive, fill: Sequence[int]) -> "WriteStatements":
    node = of_node.node
    filling = fill if node.is_root else ()
    moving = tuple(sorted({*node.changed, *filling}))
    return WriteStatements(
        of_node=of_node,
        schema=archive.schema,
        archive=archive.archive_of(node.table, node.changed) if node.merges and node.table.primary_key else None,
        journal=archive.journal_of(node.table, journaled(node, filling), moving) if moving else None,
        references=(*node.outgoing, *node.own),
    )


@dataclass(frozen=True, kw_only=True)
class WriteStatements:
    """One node's table beside its ``archive`` and ``journal`` in ``schema``, and the ``references`` to it."""

    of_node: NodeStatements
    schema: str
    archive: Relation | None
    journal: Relation | None
    references: tuple[Edge, ...]

    @property
    def node(self) -> Node:
        return self.of_node.node

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns whose values are journaled."""
        assert self.journal is not None
        return self.journal.numbers

    def into_journal(self) -> dict[str, Fragment]:
        """The journal and its columns, for an INSERT of what :meth:`noted` lists."""
        assert self.journal is not None
        columns = [
            ident("~op"),
            *(key(n) for n in self.node.table.primary_key),
            *(old(n) for n in self.numbers),
            *(new(n) for n in self.numbers),
            *(source(n) for n in self.journal.moving),
        ]
        return {"journal": ident(self.schema, self.journal.name), "columns": comma(columns)}

    def noted(self, before: str | None, rows: str | None = "~r") -> Fragment:
        """Primary key after, old values, new values, where each reference came from.

        Old values are those of ``before``, else those that ``rows`` holds beside the sources; without ``rows`` no
        reference moved.
        """
        assert self.journal is not None
        olds = [of(before, self.of_node.bare(n)) if before else of(rows or "", old(n)) for n in self.numbers]
        values = [
            *(self.of_node.column(n) for n in self.node.table.primary_key),
            *olds,
            *(self.of_node.column(n) for n in self.numbers),
            *(of(rows, source(n)) if rows and n in self.node.changed else NOWHERE for n in self.journal.moving),
        ]
        return comma(values)

    def same_key(self, left: Fragment, names: Mapping[int, sql.Identifier] | None = None, alias: str = "~r") -> Fragment:
        """The table's own row, or the alias ``left``, has the primary key that ``alias`` holds under ``names``."""
        index = self.node.table.primary_index
        assert index is not None  # a table whose rows can be merged has a primary key, or is refused
        return every(
            template("{}.{} {} {}").format(
                left, self.of_node.bare(n), fragment(operator or "="), of(alias, names[n] if names else old(n))
            )
            for n, operator in zip(index.columns, index.equality, strict=True)
        )
