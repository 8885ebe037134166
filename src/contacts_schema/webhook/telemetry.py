"""Says what happened, to the log and to OpenTelemetry where that is installed. Never a phone number."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from contacts_schema.webhook.contacts import Contacts

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

try:
    from opentelemetry import metrics
except ImportError:
    _meter = None
else:
    _meter = metrics.get_meter("contacts_schema.webhook")

__all__ = ["handled", "rejected"]

logger: Final = logging.getLogger("contacts_schema.webhook")

_rejections = _meter and _meter.create_counter(
    "contacts_schema.webhook.rejected_duplicates",
    unit="{duplicate}",
    description="Contacts that the unique constraint, its index or the upgrade's guard rejected.",
)


def _histogram() -> metrics.Histogram | None:
    if _meter is None:
        return None
    name, description = "contacts_schema.webhook.find_or_create.duration", "Time to find or create a contact."
    create = partial(_meter.create_histogram, name, unit="s", description=description)
    try:
        return create(explicit_bucket_boundaries_advisory=_SECONDS)
    except TypeError:
        # An older release; whoever uses it sets the boundaries in a view.
        return create()


_duration = _histogram()


def rejected(names: Contacts, workspace_id: Any) -> None:
    """Somebody else has created the contact in the meantime."""
    table = f"{names.schema}.{names.table}"
    logger.info(
        "a duplicate was rejected by %s on %s, workspace %s",
        *(names.constraint_name, table, workspace_id),
        extra={"constraint": names.constraint_name, "table": table, "workspace_id": workspace_id},
    )
    if _rejections:
        _rejections.add(1, {"table": table})


def handled(names: Contacts, seconds: float, *, created: bool) -> None:
    """A contact was found or created."""
    if _rejections:
        # A counter that has never counted is not there to be watched.
        _rejections.add(0, {"table": f"{names.schema}.{names.table}"})
    if _duration:
        _duration.record(seconds, {"table": f"{names.schema}.{names.table}", "created": created})
