"""TrackDrive's call → `CallRecord`: from the API, from a subscription, and from the tokens of a webhook template."""

from __future__ import annotations

from decimal import Decimal

from calltrack import mapping as read
from calltrack.errors import NotACall
from calltrack.model import CallRecord, Direction, Status
from calltrack.provider import Context, Raw, unwrap

REGION = "US"
COSTS = ("provider_cost", "trackdrive_cost")
#: what the API takes back by saying null or ""
WITHDRAWN = {
    "revenue": ("revenue",),
    "payout": ("payout", "traffic_source_payout"),
    "cost": COSTS,
    "converted": ("buyer_converted",),
}
STATUSES = {**read.STATUSES, "forwarded": Status.IN_PROGRESS, "rejected": Status.FAILED}
EVENTS = {**read.EVENTS, "new_call": read.EVENTS["started"], "forwarded": read.EVENTS["answered"]}
METADATA = (
    *("category", "sub_id", "schedule_id", "ivr_duration", "agent_duration", "hangup_cause", "token_values"),
    *("traffic_source_converted", "buyer_repeat_caller", "traffic_source_repeat_caller", *COSTS),
)


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A call as the API gives it. Raises `RejectRecord` where it has no uuid."""
    record = _record(raw, context)
    record.status = record.status or Status.UNKNOWN
    record.emptied = read.emptied(record, WITHDRAWN)
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A delivery: the call object, or what somebody wrote into a template. It says that there is news, and little more.

    A "call ended" may come with an empty duration and without recording: the API's record has the rest. Leads and text
    messages have ids of the same kind, and are no calls: `NotACall`.
    """
    word = read.word(event)
    if "lead" in word or "text" in word:
        raise NotACall
    record = _record(unwrap(raw, "call"), context)
    record.complete = False
    if record.status is None:
        told = EVENTS.get(word, read.Event())
        record.status, record.finality = told.status, told.finality
    return record


def _record(raw: Raw, context: Context) -> CallRecord:
    """What the record says, and nothing besides. Its times carry their offset."""
    region = context.settings.get("region", REGION)
    caller = read.phone(read.first(read.text, raw, "caller_number", "caller_id"), region)
    outbound = "outbound" in read.word(raw.get("category"))
    return CallRecord(
        external_id=read.external_id(raw, "uuid", "call_uuid", "trackdrive_call_uuid"),
        status=STATUSES.get(read.word(raw.get("status"))),
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        tracking_number=read.phone(raw.get("number_called"), region),
        caller_number=caller,
        destination_number=read.phone(raw.get("connected_to"), region),
        primary_phone=caller,
        campaign_id=read.text(raw.get("offer_id")),
        campaign_name=read.text(raw.get("offer")),
        publisher_id=read.text(raw.get("traffic_source_id")),
        publisher=read.text(raw.get("traffic_source")),
        buyer_id=read.text(raw.get("buyer_id")),
        buyer=read.first(read.text, raw, "buyer", "buyer_name"),
        agent_id=read.text(raw.get("agent_id")),
        disposition=read.first(read.text, raw, "disposition_name", "disposition_key"),
        started_at=read.moment(raw.get("created_at")),
        ended_at=read.moment(raw.get("ended_at")),
        duration_seconds=read.whole(raw.get("total_duration")),
        talk_seconds=read.whole(raw.get("answered_duration")),
        ring_seconds=read.whole(raw.get("attempted_duration")),
        hold_seconds=read.whole(raw.get("hold_duration")),
        revenue=read.money(raw.get("revenue")),
        payout=read.first(read.money, raw, *WITHDRAWN["payout"]),
        cost=_cost(raw),
        converted=read.flag(raw.get("buyer_converted")),
        recording_url=read.link(raw.get("recording_url")),
        metadata=read.kept(raw, METADATA) or None,
        provider_updated_at=read.moment(raw.get("updated_at")),
        raw=raw,
    )


def _cost(raw: Raw) -> Decimal | None:
    """What the carrier and TrackDrive charge, together."""
    costs = [cost for cost in (read.money(raw.get(name)) for name in COSTS) if cost is not None]
    return sum(costs, Decimal()) if costs else None
