"""Acme's call → `CallRecord`. What fields mean: calltrack/model.py; what a table can: calltrack/mapping/fields.py."""

from __future__ import annotations

from calltrack import mapping as read
from calltrack.mapping import Context
from calltrack.model import CallRecord, Status


def _also(record: CallRecord, _: Context) -> None:
    """CHANGE: what no table can say. The context has the account's settings, its region and its time zone."""
    if record.complete and record.status is None and record.ended_at is not None:
        record.status = Status.COMPLETED


# CHANGE: a line for each field that Acme has: our name → its name, or names, of which the first that can be read counts
FIELDS = read.Fields(
    {
        "external_id": "id",
        "status": "status",
        "direction": "direction",
        "tracking_number": "number",
        "caller_number": "caller",
        "primary_phone": "caller",
        "campaign_name": "campaign",
        "started_at": "started_at",
        "ended_at": "ended_at",
        "duration_seconds": "seconds",
        "revenue": "revenue",
        "cost": "cost",
        "converted": "converted",
        "recording_url": "recording",
        "provider_updated_at": "updated_at",
    },
    metadata=("team",),
    # CHANGE: Acme's words → ours, besides the usual ones. A word that nobody knows becomes UNKNOWN, never an exception.
    statuses={**read.STATUSES, "hung_up_early": Status.CANCELED},
    # CHANGE: amounts that an API record may take back, by stating them as null
    withdrawn=("revenue", "cost"),
    also=_also,
)
