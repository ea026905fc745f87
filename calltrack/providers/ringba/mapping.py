"""Ringba's call → `CallRecord`: a row of the call log, and the tokens of a pixel, named as in the call log."""

from __future__ import annotations

from calltrack import mapping as read
from calltrack.mapping import Context, Raw
from calltrack.model import STAGES, CallRecord, Direction, Finality, Status

#: columns that the published sample of the call log has
BASIC = """
    inboundCallId callDt callConnectionDt callCompletedDt inboundPhoneNumber number numberId campaignId campaignName
    publisherId publisherName publisherSubId targetId targetName targetNumber timeToCallInSeconds timeToConnectInSeconds
    callLengthInSeconds connectedCallLengthInSeconds endCallSource hasConnected hasConverted hasPayout isLive
    conversionAmount payoutAmount profitNet profitGross totalCost telcoCost hasRecording recordingUrl
"""
#: with others of the published list
COLUMNS = f"""{BASIC}
    buyer buyerId targetGroupName isDuplicate isIncomplete incompleteCallReason wasBlocked blockReason
    noConversionReason noPayoutReason hasVoiceMail wasConversionAdjusted wasPayoutAdjusted
"""


def _also(record: CallRecord, _: Context) -> None:
    record.direction, record.primary_phone = Direction.INBOUND, record.caller_number
    if record.complete:
        record.status = _status(record.raw)
        if read.flag(record.raw.get("isLive")):  # whatever else the row says, it is not final
            record.finality = STAGES[record.status]


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


#: A pixel says that there is news, and little more.
FIELDS = read.Fields(
    {
        "external_id": ("inboundCallId", "call_id"),
        "tracking_number": "number",
        "caller_number": ("inboundPhoneNumber", "caller_id", "caller"),
        "destination_number": "targetNumber",
        "campaign_id": "campaignId",
        "campaign_name": "campaignName",
        "publisher_id": "publisherId",
        "publisher": "publisherName",
        "buyer_id": ("buyerId", "targetId"),
        "buyer": ("buyer", "targetName"),
        "started_at": "callDt",
        "answered_at": "callConnectionDt",
        "ended_at": "callCompletedDt",
        "duration_seconds": "callLengthInSeconds",
        "talk_seconds": "connectedCallLengthInSeconds",
        "ring_seconds": "timeToConnectInSeconds",
        "revenue": "conversionAmount",
        "payout": "payoutAmount",
        "cost": ("totalCost", "telcoCost"),
        "converted": "hasConverted",
        "duplicate": "isDuplicate",
        "recording_url": "recordingUrl",
    },
    metadata=(
        *("numberId", "publisherSubId", "targetId", "targetGroupName", "endCallSource", "profitNet", "profitGross"),
        *("incompleteCallReason", "blockReason", "noConversionReason", "noPayoutReason"),
    ),
    events={**read.EVENTS, "error": read.Event(finality=Finality.ENDED)},
    moments=read.epoch_ms,
    # Each column was asked for by its name: one that is left out is empty.
    withdrawn=("revenue", "payout", "cost"),
    left_out=True,
    also=_also,
)
