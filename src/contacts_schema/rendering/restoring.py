"""The way back as statements: every batch undone, newest first, in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection, sql

from ..blanks import TRIGGER as BLANK_TRIGGER
from ..catalog.facts import Table
from ..compose import Fragment, ident, literal, plain, template
from ..plan import Plan
from ..restore.changes import CHANGED, GONE, NOT_USABLE, SUPERSEDED, undo_together
from ..restore.journal import Journal
from ..restore.later import without_parent
from ..restore.run import NOT_BACK, STAYS, TABLE_GONE
from ..restore.sources import SQL as RESTORE
from ..restore.sources import Source
from ..restore.store import Store
from ..restore.triggers import disabling, enabling
from ..settings import Settings
from .text import SQL, Text, embedded

_OP, _BATCH = sql.SQL('"~undoing".id'), sql.SQL('"~batch"')


class Restoring:
    """Writes the restore of one table into a script whose tables are locked."""

    def __init__(self, connection: Connection[Any], settings: Settings, plan: Plan) -> None:
        target = plan.target
        assert target is not None
        self.connection, self.settings = connection, settings
        self.store = Store(connection, settings.private_schema, plan.declared)
        self.of_table: dict[str, Any] = {"source": target.oid, "source_schema": target.schema, "source_name": target.name}

    @property
    def tables(self) -> list[Table]:
        """The tables that rows come back to."""
        return [source.table for source in self._unique() if source.table is not None]

    def archived(self) -> sql.Composed:
        """A value that changes with the shape of what is archived."""
        return SQL["archived"].format(schema=self._schema)

    def write(self, text: Text) -> None:
        """Bring back, and tell."""
        for prepared in (SQL["create_told"], RESTORE["create_left"], RESTORE["create_found"], SQL["create_seen"]):
            text.run(prepared.format())
        resting = [_without_ours(table) for table in self.tables]
        for statement in disabling(resting):
            text.run(statement)
        text.block(SQL["restore"], cases=sql.SQL("").join(self._cases()), **self._going_through())
        for statement in enabling(resting):
            text.run(statement)
        self._clean(text)
        text.run(SQL["told"].format())

    @property
    def _schema(self) -> sql.Identifier:
        return ident(self.settings.private_schema)

    def _unique(self) -> Sequence[Source]:
        return list({s.table.oid: s for s in self.store.sources.values() if s.table is not None}.values())

    def _going_through(self) -> dict[str, Fragment]:
        left = embedded(SQL["left_ops"].format())
        return {
            "batches": self._statement("batches", **self.of_table),
            "ops": self._statement("ops", batch=_BATCH),
            "finish_ops": self._statement("finish_ops", batch=_BATCH, left=left),
            "finish_batch": self._statement("finish_batch", batch=_BATCH),
        }

    def _statement(self, name: str, *, parts: dict[str, Fragment] | None = None, **values: Any) -> sql.SQL:
        return embedded(RESTORE[name].format(schema=self._schema, **(parts or {})), **values)

    def _cases(self) -> Iterator[Fragment]:
        """What to do, by the kind of an operation and the relations that it is about."""
        with self.connection.cursor() as cursor:
            found = cursor.execute(SQL["kinds"].format(schema=self._schema), self.of_table).fetchall()
        for kind, relations in found:
            sources = [self.store.sources[relation] for relation in relations]
            body = self._insert(sources[0]) if kind == "archive" else self._undo(sources)
            yield SQL["case"].format(
                kind=literal("archive" if kind == "archive" else "move"), relations=sql.Literal(relations), body=body
            )

    def _insert(self, source: Source) -> Fragment:
        insert = self._bring_back(source) if source.table is not None else None
        left = SQL["stay_archived"].format(
            left_keys=embedded(source.left_keys(), op=_OP),
            note_left=self._statement("note_left", parts={"archive": source.relation}, op=_OP),
            label=literal(source.label),
            stays=literal(STAYS),
            why=literal(TABLE_GONE if insert is None else NOT_BACK),
            relation=sql.Literal(source.id),
        )
        return _block([SQL["bring_back"].format(insert=insert, label=literal(source.label))] if insert else [], [left])

    def _bring_back(self, source: Source) -> Fragment:
        above = self.store.above(source, self.store.sources.values())
        return embedded(source.insert(without_parent(source, above, _is_left)), op=_OP, only=sql.SQL("NULL"))

    def _undo(self, sources: Sequence[Source]) -> Fragment:
        usable = [source for source in sources if source.undoable]
        lost = [SQL["unusable"].format(line=literal(f"{s.label}: {NOT_USABLE}")) for s in sources if not s.undoable]
        wanted = {f"only{i}": SQL["wanted"].format(relation=sql.Literal(s.id)) for i, s in enumerate(usable)}
        undo = [SQL["undo"].format(undo=embedded(undo_together(usable), op=_OP, **wanted))] if usable else []
        looks = [statement for source in usable for statement in self._look(source)]
        return _block(looks, undo, [self._settle(source, i) for i, source in enumerate(usable)], lost)

    def _look(self, source: Source) -> Iterator[Fragment]:
        """Rows are held by the lock on their table; those without a primary key are still to be found."""
        journal, others = Journal(source=source), list(self.store.sources.values())
        if not source.keys:
            yield embedded(journal.hold(), op=_OP)
        look = journal.look(self.store.of_table(source, others), self.store.below(source, others), _is_left)
        yield SQL["look"].format(look=embedded(look, op=_OP), relation=sql.Literal(source.id))

    def _settle(self, source: Source, position: int) -> Fragment:
        relation, journal = sql.Literal(source.id), source.relation
        partly, stay = (SQL[name].format(relation=relation) for name in ("partly", "stay"))
        return SQL["settle"].format(
            undone=ident(f"~undone{position}"),
            relation=relation,
            label=literal(source.label),
            again=embedded(Journal(source=source).look([], []), op=_OP),
            settle=embedded(Journal(source=source).settle(), op=_OP, rows=partly),
            forget=self._statement("forget", parts={"journal": journal}, op=_OP, left=stay),
            journal=journal,
            superseded=literal(SUPERSEDED.said),
            gone=literal(GONE.said),
            changed=literal(CHANGED.said),
        )

    def _clean(self, text: Text) -> None:
        """Drop what is empty; the schema too, once nothing of any run is left in it."""
        text.run(RESTORE["finish_runs"].format(schema=self._schema), **self.of_table)
        for source in self.store.sources.values():
            parts: dict[str, Fragment] = {"relation": source.relation}
            self._if(
                text,
                self._statement("is_done_with", parts=parts, id=source.id, called=plain(source.relation)),
                [self._statement("drop_relation", parts=parts), self._statement("forget_relation", id=source.id)],
            )
        in_use = template("SELECT NOT ({})").format(embedded(template("SELECT used FROM ({}) AS u").format(self._in_use())))
        self._if(text, in_use, [self._statement("drop_schema")])

    def _in_use(self) -> Fragment:
        return self._statement("in_use", parts={}, schema=self.settings.private_schema)

    def _if(self, text: Text, condition: Fragment, statements: Sequence[Fragment]) -> None:
        text.block(SQL["if"], condition=condition, statements=sql.SQL(";\n").join(statements))


def _without_ours(table: Table) -> Table:
    """The table once the trigger for blank phones is gone."""
    return replace(table, triggers=tuple(trigger for trigger in table.triggers if trigger.name != BLANK_TRIGGER))


def _block(*parts: Sequence[Fragment]) -> Fragment:
    return sql.SQL("").join(template("{};\n").format(statement) for statements in parts for statement in statements)


def _is_left(source: Source) -> Fragment:
    return SQL["is_left"].format(relation=sql.Literal(source.id))
