"""Before the first change: every reason to refuse at once, or the work there is."""

from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection

from .errors import Reason, Refused
from .expressions import faulty_expressions, unblankable, unfillable
from .merge.passes import Found, find_groups
from .plan import Plan
from .refusals import MERGING
from .rehearsal import Rehearsal
from .survey import Survey
from .workspace import Workspace

T = TypeVar("T")

# Without these nothing can be read about the rows, so that no further reason can be found.
_UNREADABLE = frozenset(
    {
        "no_column", "not_a_table", "partitioned", "distributed", "partition", "no_primary_key", "not_comparable",
        "row_security", "rights", "virtual",
    }
)  # fmt: skip

# Without these nothing can be worked out about the tables that hang on the contacts.
_UNREACHABLE = frozenset({"child_rights", "tilde"})


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What was found: the work, what to tell people, and the ``objections`` that matter only once there is work."""

    workspace: Workspace
    found: Found
    notes: tuple[str, ...]
    objections: tuple[Reason, ...]


def preflight(connection: Connection[Any], plan: Plan, fingerprint: str) -> Preflight:
    """Look at the rows, and merge a few on trial. Raises Refused; changes nothing."""
    refuse_at_once(connection, plan)
    workspace = Workspace(connection, plan, create=True)
    found = find_groups(connection, workspace.root)
    survey = Survey(connection, plan, workspace.resolver, workspace.root)
    reasons = unique([*plan.reasons, *survey.reasons(found)])
    rehearsal = Rehearsal(
        connection=connection, plan=plan, resolver=workspace.resolver, root=workspace.root, expected=fingerprint
    )
    reasons += rehearsal.reasons(found, reasons)
    if blocking(reasons) or (found.slices and reasons):
        raise Refused(reasons)
    return Preflight(workspace=workspace, found=found, notes=tuple(rehearsal.notes.values()), objections=tuple(reasons))


def blocking(reasons: list[Reason] | tuple[Reason, ...]) -> list[Reason]:
    """Those that stand in the way even where nothing is to be merged."""
    return [reason for reason in reasons if reason.code not in MERGING]


def unique(items: list[T]) -> list[T]:
    """Each once, in order."""
    return list(dict.fromkeys(items))


def refuse_at_once(connection: Connection[Any], plan: Plan) -> None:
    """Raise Refused where rows cannot be looked at, or an expression of the settings could not be run over them."""
    codes = {reason.code for reason in blocking(plan.reasons)}
    if plan.tree is None or codes & _UNREADABLE:
        raise Refused(plan.reasons)
    if codes & _UNREACHABLE:
        closed = Workspace(connection, plan, create=False)
        rest = Survey(connection, plan, closed.resolver, closed.root).of_the_table()
        raise Refused(unique([*plan.reasons, *rest]))
    wrong = [*unfillable(plan), *unblankable(plan), *faulty_expressions(connection, plan)]
    if wrong:
        raise Refused(unique([*plan.reasons, *wrong]))
