"""TrackDrive's call → `CallRecord`: from the API, from a subscription, and from the tokens of a webhook template."""

from __future__ import annotations

from decimal import Decimal

from calltrack import mapping as read
from calltrack.model import CallRecord, Direction, Finality, Status
from calltrack.provider import Context, Raw, unwrap

REGION = "US"
AMOUNTS = {"revenue": ("revenue",), "payout": ("payout", "traffic_source_payout")}
COSTS = ("provider_cost", "trackdrive_cost")
STATUSES = {
    **read.STATUSES,
    "new": Status.INITIATED,
    "forwarded": Status.IN_PROGRESS,
    "in_progress": Status.IN_PROGRESS,
}
METADATA = ("offer_id", "buyer_id", "traffic_source_id", "traffic_source_converted", *COSTS)
EVENTS = {
    **read.EVENTS,
    "new": read.EVENTS["started"],
    "forwarded": read.EVENTS["selected"],
    # The record changed, at any time of its life.
    "changed": read.Event(),
}


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A call as the API gives it. Raises `RejectRecord` where it has no uuid."""
    record = _record(raw, context)
    record.emptied = read.emptied(record, AMOUNTS)
    if record.status is None:
        record.status = Status.COMPLETED if record.ended_at else Status.UNKNOWN
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A delivery: the call object, or what somebody wrote into a template. It says that there is news, and little more.

    A "call ended" may come with an empty duration and without recording: the API's record has the rest.
    """
    record = _record(unwrap(raw, "call"), context)
    told = EVENTS.get(read.word(event), read.Event())
    record.complete = False
    if record.status is None:
        record.status, record.finality = told.status, told.finality
    return record


def _record(raw: Raw, context: Context) -> CallRecord:
    region = context.settings.get("region", REGION)
    caller = read.phone(read.first(read.text, raw, "caller_number", "caller_id"), region)
    answered = read.whole(raw.get("answered_duration"))
    ended_at = read.moment(raw.get("ended_at"), context.zone)
    return CallRecord(
        external_id=read.external_id(raw, "uuid", "call_uuid"),
        status=STATUSES.get(read.word(raw.get("status"))),
        direction=Direction.INBOUND,
        tracking_number=read.phone(read.first(read.text, raw, "number_called", "number"), region),
        caller_number=caller,
        destination_number=read.phone(read.first(read.text, raw, "forwarded_number", "buyer_number"), region),
        primary_phone=caller,
        campaign_id=read.text(raw.get("offer_id")),
        campaign_name=read.text(raw.get("offer")),
        publisher_id=read.text(raw.get("traffic_source_id")),
        publisher=read.text(raw.get("traffic_source")),
        buyer_id=read.text(raw.get("buyer_id")),
        buyer=read.text(raw.get("buyer")),
        started_at=read.moment(raw.get("created_at"), context.zone),
        ended_at=ended_at,
        duration_seconds=read.whole(raw.get("total_duration")),
        talk_seconds=answered,
        ring_seconds=read.whole(raw.get("attempted_duration")),
        hold_seconds=read.whole(raw.get("hold_duration")),
        revenue=read.money(raw.get("revenue")),
        payout=read.first(read.money, raw, *AMOUNTS["payout"]),
        cost=_cost(raw),
        converted=read.first(read.flag, raw, "buyer_converted", "offer_converted"),
        recording_url=read.link(raw.get("recording_url")),
        metadata=read.kept(raw, METADATA) or None,
        provider_updated_at=read.moment(raw.get("updated_at"), context.zone),
        finality=Finality.ENDED if ended_at else None,
        raw=raw,
    )


def _cost(raw: Raw) -> Decimal | None:
    """What the provider and TrackDrive charge, together."""
    costs = [cost for cost in (read.money(raw.get(name)) for name in COSTS) if cost is not None]
    return sum(costs, Decimal()) if costs else None
