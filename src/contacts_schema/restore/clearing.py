"""Clears the archive away once all in it is undone, while others may be at work on it."""

from psycopg import errors, sql

from ..archive_layout import REGISTRY
from ..compose import ident, plain
from ..ddl import outlasting_vacuum, past_vacuum
from ..report import Progress
from ..retry import patiently
from ..run_lock import may_clear_up
from .sources import Source
from .store import Store

_CLEANERS = 5


class Clearing:
    """Drops what is empty; the schema too, once nothing of any run is left in it."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self.connection, self.store, self.progress = store.connection, store, progress

    def clear(self) -> None:
        """As far as nobody else needs it. Raises what says that somebody has a lock."""
        for _ in patiently(_CLEANERS):
            if self._clear():
                return

    def _clear(self) -> bool:
        """Not while another table is being merged: whoever restores that will do it. Another restore is soon done."""
        with self.connection.transaction():
            if not may_clear_up(self.connection, self.store.schema):
                return False
            if not self.store.exists():
                return True
            done = [source for source in self.store.still_there() if self._is_done_with(source)]
            past_vacuum(self.connection, [source.relation for source in done])
            for source in done:
                self._drop(source)
            if not self._is_in_use():
                self._drop_schema()
        return True

    def _drop(self, source: Source) -> None:
        """Asked again under the lock: a merge of another table may have come between that notes something here."""
        self.store.execute("lock_relation", relation=source.relation)
        if self._is_done_with(source) and self._dropped("drop_relation", relation=source.relation):
            self.store.execute("forget_relation", id=source.id)

    def _drop_schema(self) -> None:
        """Asked again under the lock, as above: a run of another table may have begun."""
        registry = [ident(self.store.schema, name) for name in REGISTRY]
        past_vacuum(self.connection, registry)
        self.store.execute("lock_relation", relation=registry[0])
        if not self._is_in_use():
            self._dropped("drop_schema")

    def _dropped(self, name: str, **parts: sql.Identifier) -> bool:
        """Drop what is empty; it stays where somebody has made a view of it, say."""
        try:
            # What a table keeps of long values is vacuumed by itself.
            with self.connection.transaction(), outlasting_vacuum(self.connection):
                self.store.execute(name, **parts)
        except errors.DependentObjectsStillExist:
            self.progress.note(f'something of yours depends on the archive in "{self.store.schema}": it stays, empty')
            return False
        return True

    def _is_in_use(self) -> bool:
        return any(self.store.column("in_use", schema=self.store.schema))

    def _is_done_with(self, source: Source) -> bool:
        called = plain(source.relation, self.connection)
        return all(self.store.column("is_done_with", relation=source.relation, id=source.id, called=called))
