"""Which triggers fire for what a merge changes, and where it is published. Pure."""

from collections.abc import Iterator, Sequence

from ..catalog.facts import Trigger
from ..merge.tree import Tree
from .figures import Change, Listener


def listeners(tree: Tree, changes: Sequence[Change], private_schema: str) -> Iterator[Listener]:
    """Those of the tables with changes, without the triggers that are ours."""
    by_table = {change.table: change for change in changes}
    for table in (node.table for node in tree.nodes):
        if change := by_table.get(table.label):
            for trigger in table.triggers:
                if trigger.function_schema != private_schema and _fires(trigger, change):
                    yield Listener(table=table.label, kind="trigger", name=trigger.name)
            for publication in table.published:
                yield Listener(table=table.label, kind="publication", name=publication)


def _fires(trigger: Trigger, change: Change) -> bool:
    asked = (trigger.on_update and change.changed) or (trigger.on_delete and change.merged)
    return bool(asked) and trigger.enabled in "OA"
