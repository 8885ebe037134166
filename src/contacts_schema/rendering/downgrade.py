"""The way back as a script: the constraint goes, then what was merged comes back."""

from typing import Any

from psycopg import Connection, sql

from ..compose import literal, plain, template
from ..downgrade import STILL_CONSTRAINED, Downgrade
from ..errors import Refused
from ..report import Silent
from ..session import at_home, prepare
from ..settings import Settings
from .constraint import drop_constraint
from .opening import CHANGED, catalog_of, open_script, require_same
from .restoring import Restoring
from .text import SQL, Text
from .upgrade import refuse_begun


class DowngradeScript:
    """What taking one table's upgrade back is, as the database behind ``connection`` is now. Raises Refused.

    ``connection`` is a psycopg connection of its own, in autocommit mode and idle. Nothing is changed over it.
    """

    def __init__(self, connection: Connection[Any], settings: Settings) -> None:
        prepare(connection, settings)
        at_home(connection, settings.schema)
        self.connection, self.settings = connection, settings
        self.down = Downgrade(connection, settings, Silent())
        if self.down.plan.target is None:
            raise Refused(self.down.plan.reasons)
        self.down.refuse_others()
        refuse_begun(self.down)
        self.restoring = Restoring(connection, settings, self.down.plan)

    def unconstrain(self) -> str:
        """Locks, checks, and the constraint dropped, where there is one."""
        text = Text("constraint", self.settings)
        self._open(text)
        if self._attached:
            drop_constraint(text, self.settings)
        return text.end()

    def restore(self, *, begun: bool) -> str:
        """What was merged brought back; ``begun`` where :meth:`unconstrain` comes first in the same script."""
        if not begun and self._attached:
            raise Refused([STILL_CONSTRAINED])
        text = Text("restore", self.settings)
        if not begun:
            self._open(text)
        if self.down.blanks is not None and self.down.blanks.is_there():
            for statement in self.down.blanks.dropping():
                text.run(statement)
        if self.down.archive.exists():
            self.restoring.write(text)
        else:
            text.say("Nothing was merged: nothing is to be brought back.")
        return text.end()

    @property
    def _attached(self) -> bool:
        return self.down.plan.constraint_index is not None

    def _open(self, text: Text) -> None:
        target, archive = self.down.table, self.down.archive
        there = archive.exists()
        tables = list({t.oid: t for t in (target, *(self.restoring.tables if there else ()))}.values())
        open_script(text, self.settings, target, tables)
        exists = SQL["archive_exists"].format(op=literal(plain(archive.table("op"))))
        text.refuse_if(template("({}) <> {}").format(exists, sql.Literal(there)), CHANGED)
        require_same(text, self.connection, [catalog_of(tables), *([self.restoring.archived()] if there else [])])
