"""TrackDrive's call → `CallRecord`: from the API, from a subscription, and from the tokens of a webhook template."""

from __future__ import annotations

from decimal import Decimal

from calltrack import mapping as read
from calltrack.errors import NotACall
from calltrack.mapping import Context, Raw
from calltrack.model import CallRecord, Direction, Status

COSTS = ("provider_cost", "trackdrive_cost")


def _also(record: CallRecord, _: Context) -> None:
    record.primary_phone = record.caller_number
    outbound = "outbound" in read.word(record.raw.get("category"))
    record.direction = Direction.OUTBOUND if outbound else Direction.INBOUND
    costs = [cost for cost in (read.money(record.raw.get(name)) for name in COSTS) if cost is not None]
    record.cost = sum(costs, Decimal()) if costs else None  # what the carrier and TrackDrive charge, together


#: Its times carry their offset.
FIELDS = read.Fields(
    {
        "external_id": ("uuid", "call_uuid", "trackdrive_call_uuid"),
        "status": "status",
        "tracking_number": "number_called",
        "caller_number": ("caller_number", "caller_id"),
        "destination_number": "connected_to",
        "campaign_id": "offer_id",
        "campaign_name": "offer",
        "publisher_id": "traffic_source_id",
        "publisher": "traffic_source",
        "buyer_id": "buyer_id",
        "buyer": ("buyer", "buyer_name"),
        "agent_id": "agent_id",
        "disposition": ("disposition_name", "disposition_key"),
        "started_at": "created_at",
        "ended_at": "ended_at",
        "duration_seconds": "total_duration",
        "talk_seconds": "answered_duration",
        "ring_seconds": "attempted_duration",
        "hold_seconds": "hold_duration",
        "revenue": "revenue",
        "payout": ("payout", "traffic_source_payout"),
        "cost": COSTS,
        "converted": "buyer_converted",
        "recording_url": "recording_url",
        "provider_updated_at": "updated_at",
    },
    metadata=(
        *("category", "sub_id", "schedule_id", "ivr_duration", "agent_duration", "hangup_cause", "token_values"),
        *("traffic_source_converted", "buyer_repeat_caller", "traffic_source_repeat_caller", *COSTS),
    ),
    statuses={**read.STATUSES, "forwarded": Status.IN_PROGRESS, "rejected": Status.FAILED},
    events={**read.EVENTS, "new_call": read.EVENTS["started"], "forwarded": read.EVENTS["answered"]},
    withdrawn=("revenue", "payout", "cost", "converted"),
    also=_also,
)


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A delivery: the call object, or what somebody wrote into a template. It says that there is news, and little more.

    A "call ended" may come with an empty duration and without recording: the API's record has the rest. Leads and text
    messages have ids of the same kind, and are no calls: `NotACall`.
    """
    if any(other in read.word(event) for other in ("lead", "text")):
        raise NotACall
    return FIELDS.notice(raw, event, context)
