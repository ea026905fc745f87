"""Retreaver's call → `CallRecord`. Three vocabularies: the API's, the spec's, and the tokens of webhook templates."""

from __future__ import annotations

from calltrack import mapping as read
from calltrack.mapping import Context
from calltrack.model import CallRecord, Direction, Finality


def _also(record: CallRecord, context: Context) -> None:
    raw, record.primary_phone = record.raw, record.caller_number
    # Calls come in by a tracking number; `via` names the exceptions.
    record.direction = Direction.OUTBOUND if str(raw.get("via")).startswith("outbound") else Direction.INBOUND
    if record.answered_at is None and raw.get("connected") is not False:
        record.answered_at = read.moment(raw.get("forwarded_time"))
    if tags := raw.get("tags") or raw.get("tag_values"):
        record.metadata = {**(record.metadata or {}), "tags": tags}
    if not record.complete:
        if record.status is None and not read.blank(raw.get("hung_up_by")):
            record.finality = Finality.ENDED
        if context.settings.get("campaign_token") == "cid":
            record.campaign_id = None


FIELDS = read.Fields(
    {
        "external_id": ("uuid", "call_uuid"),
        "status": "status",
        # Since v3 the number is an object, since v4 the campaign, too.
        "tracking_number": ("number.number", "number", "tracking_number", "called_number", "dialed_number"),
        "caller_number": ("caller", "caller_number", "nanp_caller_number", "caller_id"),
        "destination_number": ("receiving_number", "dialed_number"),
        "campaign_id": ("campaign.id", "campaign_id", "cid"),
        "campaign_name": ("campaign.name", "campaign_name"),
        "publisher_id": ("afid", "affiliate_id", "system_affiliate_id"),
        "publisher": "affiliate_name",
        "buyer_id": ("target_id", "system_target_id", "tid"),
        "buyer": "target_name",
        "started_at": ("start_time", "initiated_at", "call_start_time", "created_at"),
        "answered_at": "answered_at",
        "ended_at": ("end_time", "completed_at"),
        "duration_seconds": ("total_duration", "duration", "call_duration"),
        "talk_seconds": "dialed_call_duration",
        "hold_seconds": "hold_duration",
        "revenue": "revenue",
        "payout": "payout",
        "cost": ("total_cost", "charge_total"),
        "converted": "converted",
        "duplicate": "duplicate",
        "recording_url": ("recording_url", "call_recording_url"),
        "provider_updated_at": "updated_at",
    },
    metadata=("cid", "afid", "tid", "sid", "sub_id", "hung_up_by", "connected", "payable", "receivable"),
    withdrawn=("revenue", "payout", "cost"),
    # A webhook is the call object of the API, bare or under "call", or the tokens of a template.
    whole=("uuid", "updated_at"),
    also=_also,
)
