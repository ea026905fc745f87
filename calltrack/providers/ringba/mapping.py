"""Ringba's call → `CallRecord`: a row of the call log, and the tokens of a pixel."""

from __future__ import annotations

from typing import Any

from calltrack import mapping as read
from calltrack.model import CallRecord, Direction, Finality, Status
from calltrack.provider import Context, Raw

REGION = "US"
AMOUNTS = {"revenue": ("conversionAmount",), "payout": ("payoutAmount",), "cost": ("totalCost", "telcoCost")}
METADATA = ("numberId", "publisherSubId", "endCallSource", "profitNet", "profitGross", "blockReason", "targetGroupName")
#: what the published sample of the call log was asked with, and got
BASIC = (
    *("inboundCallId", "callDt", "callConnectionDt", "callCompletedDt", "inboundPhoneNumber", "number", "numberId"),
    *("campaignId", "campaignName", "publisherId", "publisherName", "publisherSubId"),
    *("targetId", "targetName", "targetNumber", "timeToCallInSeconds", "timeToConnectInSeconds"),
    *("callLengthInSeconds", "connectedCallLengthInSeconds", "endCallSource", "hasConnected", "hasConverted"),
    *("hasPayout", "isLive", "conversionAmount", "payoutAmount", "profitNet", "profitGross", "totalCost", "telcoCost"),
    *("hasRecording", "recordingUrl"),
)
COLUMNS = (
    *BASIC,
    *("buyer", "buyerId", "targetGroupName", "isDuplicate", "isIncomplete", "wasBlocked", "blockReason"),
    *("hasVoiceMail", "wasConversionAdjusted", "wasPayoutAdjusted"),
)
#: our name of a pixel's field → the tokens and parameter names by which senders give it
TOKENS = {
    "inboundCallId": ("inboundCallId", "InboundCallId", "call_id", "callId", "Call:InboundCallId"),
    "inboundPhoneNumber": ("inboundPhoneNumber", "caller", "caller_id", "caller_number", "tag:InboundNumber:Number"),
    "number": ("number", "dialed", "number_called", "tag:DialedNumber:Number"),
    "campaignName": ("campaignName", "campaign", "campaign_name", "tag:Campaign:Name"),
    "campaignId": ("campaignId", "campaign_id", "tag:Campaign:Id"),
    "publisherName": ("publisherName", "publisher", "publisher_name", "tag:Publisher:Name"),
    "callLengthInSeconds": ("callLengthInSeconds", "duration", "call_length", "tag:CallLength:Total"),
    "callConnectionDt": ("callConnectionDt", "connected_at", "Call:CallConnectedTimestamp"),
    "recordingUrl": ("recordingUrl", "recording", "recording_url", "Call:RecordingUrl"),
}
EVENTS = {**read.EVENTS, "error": read.Event(finality=Finality.ENDED)}


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A row of the call log. Raises `RejectRecord` where it has no id."""
    record = _record(raw, context)
    record.status = _status(raw)
    if read.flag(raw.get("isLive")):
        record.finality = Finality.ANSWERED
    # Each column was asked for by its name: one that is left out is empty.
    record.emptied = read.emptied(record, AMOUNTS, left_out=True)
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A pixel: a few tokens, named by whoever wrote its URL. It says that there is news, and little more."""
    told = EVENTS.get(read.word(event), read.Event())
    record = _record({name: read.first(read.text, raw, *names) for name, names in TOKENS.items()}, context)
    record.raw, record.complete = raw, False
    record.status, record.finality = told.status, told.finality
    return record


def _record(raw: Raw, context: Context) -> CallRecord:
    region = context.settings.get("region", REGION)
    caller = read.phone(raw.get("inboundPhoneNumber"), region)
    return CallRecord(
        external_id=read.external_id(raw, "inboundCallId"),
        direction=Direction.INBOUND,
        tracking_number=read.phone(raw.get("number"), region),
        caller_number=caller,
        destination_number=read.phone(raw.get("targetNumber"), region),
        primary_phone=caller,
        campaign_id=read.text(raw.get("campaignId")),
        campaign_name=read.text(raw.get("campaignName")),
        publisher_id=read.text(raw.get("publisherId")),
        publisher=read.text(raw.get("publisherName")),
        buyer_id=read.first(read.text, raw, "buyerId", "targetId"),
        buyer=read.first(read.text, raw, "buyer", "targetName"),
        started_at=read.epoch_ms(raw.get("callDt")),
        answered_at=read.epoch_ms(raw.get("callConnectionDt")),
        ended_at=read.epoch_ms(raw.get("callCompletedDt")),
        duration_seconds=read.whole(raw.get("callLengthInSeconds")),
        talk_seconds=read.whole(raw.get("connectedCallLengthInSeconds")),
        ring_seconds=read.whole(raw.get("timeToConnectInSeconds")),
        revenue=read.money(raw.get("conversionAmount")),
        payout=read.money(raw.get("payoutAmount")),
        cost=read.first(read.money, raw, *AMOUNTS["cost"]),
        converted=read.flag(raw.get("hasConverted")),
        duplicate=read.flag(raw.get("isDuplicate")),
        recording_url=read.link(raw.get("recordingUrl")),
        metadata=read.kept(raw, METADATA) or None,
        raw=raw,
    )


def _status(raw: Raw) -> Status:
    """From what the row says of the call: it has no word for it. A live row is not final."""
    says: dict[str, Any] = {name: read.flag(raw.get(name)) for name in ("isLive", "hasConnected", "hasVoiceMail")}
    if says["isLive"]:
        return Status.IN_PROGRESS if says["hasConnected"] else Status.RINGING
    if says["hasVoiceMail"]:
        return Status.VOICEMAIL
    if says["hasConnected"]:
        return Status.COMPLETED
    return Status.FAILED if read.flag(raw.get("wasBlocked")) else Status.NO_ANSWER
