"""Ringba's call → `CallRecord`: a row of the call log, and the tokens of a pixel."""

from __future__ import annotations

from calltrack import mapping as read
from calltrack.model import STAGES, CallRecord, Direction, Finality, Status
from calltrack.provider import Context, Raw

REGION = "US"
AMOUNTS = {"revenue": ("conversionAmount",), "payout": ("payoutAmount",), "cost": ("totalCost", "telcoCost")}
#: columns that the published sample of the call log has
BASIC = (
    *("inboundCallId", "callDt", "callConnectionDt", "callCompletedDt", "inboundPhoneNumber", "number", "numberId"),
    *("campaignId", "campaignName", "publisherId", "publisherName", "publisherSubId"),
    *("targetId", "targetName", "targetNumber", "timeToCallInSeconds", "timeToConnectInSeconds"),
    *("callLengthInSeconds", "connectedCallLengthInSeconds", "endCallSource", "hasConnected", "hasConverted"),
    *("hasPayout", "isLive", "conversionAmount", "payoutAmount", "profitNet", "profitGross", "totalCost", "telcoCost"),
    *("hasRecording", "recordingUrl"),
)
#: with others of the published list
COLUMNS = (
    *BASIC,
    *("buyer", "buyerId", "targetGroupName", "isDuplicate", "isIncomplete", "incompleteCallReason", "wasBlocked"),
    *("blockReason", "noConversionReason", "noPayoutReason", "hasVoiceMail", "wasConversionAdjusted"),
    *("wasPayoutAdjusted",),
)
METADATA = (
    *("numberId", "publisherSubId", "targetId", "targetGroupName", "endCallSource", "profitNet", "profitGross"),
    *("incompleteCallReason", "blockReason", "noConversionReason", "noPayoutReason"),
)
EVENTS = {**read.EVENTS, "error": read.Event(finality=Finality.ENDED)}


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A row of the call log. Raises `RejectRecord` where it has no id."""
    record = _record(raw, context)
    record.status = _status(raw)
    if read.flag(raw.get("isLive")):  # whatever else the row says, it is not final
        record.finality = STAGES[record.status]
    # Each column was asked for by its name: one that is left out is empty.
    record.emptied = read.emptied(record, AMOUNTS, left_out=True)
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A pixel: a few columns, named as in the call log. It says that there is news, and little more."""
    record, told = _record(raw, context), EVENTS.get(read.word(event), read.Event())
    record.status, record.finality, record.complete = told.status, told.finality, False
    return record


def _record(raw: Raw, context: Context) -> CallRecord:
    region = context.settings.get("region", REGION)
    caller = read.phone(read.first(read.text, raw, "inboundPhoneNumber", "caller_id", "caller"), region)
    return CallRecord(
        external_id=read.external_id(raw, "inboundCallId", "call_id"),
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
    """From what the row says of the call, which has no word for it. What it leaves out is not said."""
    live, connected = read.flag(raw.get("isLive")), read.flag(raw.get("hasConnected"))
    if live:
        return Status.IN_PROGRESS if connected else Status.RINGING
    if read.flag(raw.get("hasVoiceMail")):
        return Status.VOICEMAIL
    if connected:
        return Status.COMPLETED
    if read.flag(raw.get("wasBlocked")):
        return Status.FAILED
    return Status.UNKNOWN if connected is None else Status.NO_ANSWER
