"""The way forward as a script: the merge under locks, then the constraint."""

from typing import Any

from psycopg import Connection, sql

from ..archive_layout import closing_of
from ..blank_rows import blank_phones
from ..blanks import Blanks
from ..compose import template
from ..errors import Reason, Refused
from ..preview.look import preview
from ..report import Silent
from ..run import Run
from ..session import at_home
from ..settings import Settings
from .archive import PlannedArchive
from .constraint import add_constraint
from .merging import Merging
from .opening import catalog_of, look_alikes, open_script, require_same
from .text import SQL, Text


class UpgradeScript:
    """What one table's upgrade is, as the database behind ``connection`` is now. Raises Refused; changes nothing.

    ``connection`` is a psycopg connection of its own, in autocommit mode and idle.
    """

    def __init__(self, connection: Connection[Any], settings: Settings) -> None:
        found = preview(connection, settings)
        if found.reasons:
            raise Refused(found.reasons)
        at_home(connection, settings.schema)
        self.connection, self.settings = connection, settings
        # Whoever runs the script may have another search_path than we have.
        self.run = Run(connection, settings, Silent(), portable=True)
        refuse_begun(self.run)

    def merge(self) -> str:
        """Locks, checks and the merge."""
        text = Text("merge", self.settings)
        self._open(text)
        if self.run.plan.constrained:
            text.say(f"{self.settings.constraint} is there already: nothing is to be merged.")
            return text.end()
        text.say("The archive, closed to everybody but its owner.")
        archive = PlannedArchive(self.connection, self.settings.private_schema, text)
        archive.ensure()
        if self.run.blanks is not None:
            (_empty if self.settings.blank_phones == "null" else _refuse_blanks)(self.run.blanks, archive, text)
        Merging(self.connection, self.run.plan, archive, text).write()
        return text.end()

    def constrain(self) -> str:
        """The constraint, where no duplicate is left."""
        text, plan = Text("constraint", self.settings), self.run.plan
        if not plan.constrained:
            add_constraint(text, self.settings, [self.run.table.by_number[n].name for n in plan.key])
        return text.end()

    def _open(self, text: Text) -> None:
        tree = self.run.plan.tree
        assert tree is not None
        tables = [node.table for node in tree.nodes]
        open_script(text, self.settings, self.run.table, tables)
        require_same(text, self.connection, [catalog_of(tables), look_alikes(self.settings, tree)])
        oids = sql.Literal([table.oid for table in tables])
        text.refuse(SQL["begun"].format(oids=template("{}::oid[]").format(oids)), BEGUN)


def refuse_begun(run: Run) -> None:
    """What is there of an upgrade that was begun online is that one's to go on with."""
    names = (run.settings.constraint, run.constraint.lookup_name)
    indexes = [i for i in run.table.indexes if i.name in names and i.constraint is None]
    if indexes or run.guard.is_there() or run.forwarding.standing():
        raise Refused([BEGUN])


def _refuse_blanks(blanks: Blanks, _: PlannedArchive, text: Text) -> None:
    found = SQL["count"].format(found=SQL["blanks"].format(table=blanks.target, blank=blanks.blanks()))
    text.refuse(found, blank_phones(blanks.table, blanks.table.by_number[blanks.phone], "{rows}"))


def _empty(blanks: Blanks, archive: PlannedArchive, text: Text) -> None:
    """Turn blank phones into NULL, and go on doing so."""
    text.say("Blank phones are no phone numbers.")
    if not blanks.is_there():
        function, trigger = blanks.creating()
        text.run(function)
        text.run(closing_of(archive.schema))
        text.run(trigger)
    journal = blanks.journal(archive)
    work = SQL["blanks"].format(table=blanks.target, blank=blanks.blanks())
    archive.note("blanks", blanks.table, blanks.settings, work)
    archive.note_op("blanks", "blank", "blank", archive.listed(journal), work)
    text.run(blanks.emptying(archive.schema, journal), op=archive.noted("blank"), limit=2**62)
    text.refuse(SQL["count"].format(found=work), _HELD)


_HELD = Reason(
    problem="somebody holds {rows} with a blank phone",
    way_on="run the script again when they have ended",
    code="held",
)


BEGUN = Reason(
    problem="an upgrade of this table was begun online and has not ended",
    way_on="end it by `alembic upgrade head`, or take it back by `contacts-schema restore`, both with a connection",
    code="begun",
)
