"""Retreaver's call → `CallRecord`. Three vocabularies: the API's, the spec's, and the tokens of webhook templates."""

from __future__ import annotations

from typing import Any

from calltrack import mapping as read
from calltrack.model import CallRecord, Direction, Finality, Status
from calltrack.provider import Context, Raw, unwrap

REGION = "US"  # numbers come in E.164, except where a webhook template uses [nanp_caller_number]
AMOUNTS = {"revenue": ("revenue",), "payout": ("payout",), "cost": ("total_cost", "charge_total")}
METADATA = ("cid", "afid", "tid", "sid", "sub_id", "hung_up_by", "connected", "payable", "receivable")


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A call as the API gives it. Raises `RejectRecord` where it has no id."""
    record = _record(raw, context)
    record.emptied = read.emptied(record, AMOUNTS)
    if record.status is None and not read.blank(raw.get("status")):
        record.status = Status.UNKNOWN
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A webhook: the call object of the API, bare or under "call", or the tokens of a template."""
    call, told = unwrap(raw, "call"), read.event_of(event)
    complete = not read.blank(call.get("uuid")) and not read.blank(call.get("updated_at"))
    record = map_call(call, context) if complete else _notice(call, context)
    if record.status is None:
        record.status = told.status
        record.finality = record.finality or told.finality
    if record.converted is None:
        record.converted = told.converted
    return record


def _notice(raw: Raw, context: Context) -> CallRecord:
    """The tokens of a template: some fields of a call, chosen by the sender."""
    record = _record(raw, context)
    record.complete = False
    if record.status is None and not read.blank(raw.get("hung_up_by")):
        record.finality = Finality.ENDED
    if context.settings.get("campaign_token") == "cid":
        record.campaign_id = None
    return record


def _record(raw: Raw, context: Context) -> CallRecord:
    """What the record says, and nothing besides."""
    region = context.settings.get("region", REGION)
    caller = read.phone(
        read.first(read.text, raw, "caller", "caller_number", "nanp_caller_number", "caller_id"), region
    )
    number, campaign = raw.get("number"), raw.get("campaign")
    if isinstance(number, dict):  # since v3
        number = number.get("number")
    number = number or raw.get("tracking_number") or raw.get("called_number")
    if not isinstance(campaign, dict):  # an object since v4
        campaign = {}
    dialed = read.phone(raw.get("dialed_number"), region)
    forwarded = None if raw.get("connected") is False else read.moment(raw.get("forwarded_time"))
    return CallRecord(
        external_id=read.external_id(raw, "uuid", "call_uuid"),
        status=read.STATUSES.get(read.word(raw.get("status"))),
        # Calls come in by a tracking number; `via` names the exceptions.
        direction=Direction.OUTBOUND if str(raw.get("via")).startswith("outbound") else Direction.INBOUND,
        tracking_number=read.phone(number, region) or dialed,
        caller_number=caller,
        destination_number=read.phone(raw.get("receiving_number"), region) or dialed,
        primary_phone=caller,
        campaign_id=read.text(campaign.get("id")) or read.first(read.text, raw, "campaign_id", "cid"),
        campaign_name=read.text(campaign.get("name")) or read.text(raw.get("campaign_name")),
        publisher_id=read.first(read.text, raw, "afid", "affiliate_id", "system_affiliate_id"),
        publisher=read.text(raw.get("affiliate_name")),
        buyer_id=read.first(read.text, raw, "target_id", "system_target_id", "tid"),
        buyer=read.text(raw.get("target_name")),
        started_at=read.first(read.moment, raw, "start_time", "initiated_at", "call_start_time", "created_at"),
        answered_at=read.moment(raw.get("answered_at")) or forwarded,
        ended_at=read.first(read.moment, raw, "end_time", "completed_at"),
        duration_seconds=read.first(read.whole, raw, "total_duration", "duration", "call_duration"),
        talk_seconds=read.whole(raw.get("dialed_call_duration")),
        hold_seconds=read.whole(raw.get("hold_duration")),
        revenue=read.money(raw.get("revenue")),
        payout=read.money(raw.get("payout")),
        cost=read.first(read.money, raw, *AMOUNTS["cost"]),
        converted=read.flag(raw.get("converted")),
        duplicate=read.flag(raw.get("duplicate")),
        recording_url=read.first(read.link, raw, "recording_url", "call_recording_url"),
        metadata=_metadata(raw),
        provider_updated_at=read.moment(raw.get("updated_at")),
        raw=raw,
    )


def _metadata(raw: Raw) -> dict[str, Any] | None:
    found = read.kept(raw, METADATA)
    tags = raw.get("tags") or raw.get("tag_values")
    if tags:
        found["tags"] = tags
    return found or None
