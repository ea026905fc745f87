"""Calls in Ringba's words: columns of the call log, the details of a call, and what a pixel's tokens become."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from simulator.amounts import mixed
from simulator.calls import Call, Party
from simulator.habits import Habits

Json = dict[str, Any]

ACCOUNT = "RA5b1c0de0f00d4c0ffee0123456789abcd"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

#: columns that a record of a call has, with their kind, in the order in which a page tells them
COLUMNS: dict[str, str] = {
    "campaignName": "keyword",
    "publisherName": "keyword",
    "targetName": "keyword",
    "targetNumber": "keyword",
    "buyer": "keyword",
    "campaignId": "keyword",
    "publisherId": "keyword",
    "publisherSubId": "keyword",
    "targetId": "keyword",
    "buyerId": "keyword",
    "inboundCallId": "keyword",
    "callDt": "date",
    "inboundPhoneNumber": "keyword",
    "number": "keyword",
    "numberId": "keyword",
    "isFromNumberPool": "boolean",
    "numberPoolId": "keyword",
    "numberPoolName": "keyword",
    "timeToCallInSeconds": "timespan",
    "callCompletedDt": "date",
    "callConnectionDt": "date",
    "callLengthInSeconds": "timespan",
    "connectedCallLengthInSeconds": "timespan",
    "endCallSource": "keyword",
    "hasConnected": "boolean",
    "hasPayout": "boolean",
    "wasConversionAdjusted": "boolean",
    "wasPayoutAdjusted": "boolean",
    "hasAnnotations": "boolean",
    "isDuplicate": "boolean",
    "hasPreviouslyConnected": "boolean",
    "hasRecording": "boolean",
    "hasConverted": "boolean",
    "isLive": "boolean",
    "conversionAmount": "money",
    "profitNet": "money",
    "profitGross": "money",
    "payoutAmount": "money",
    "totalCost": "money",
    "telcoCost": "money",
    "recordingUrl": "keyword",
    "timeToConnectInSeconds": "timespan",
}

#: columns that may be asked for, and for which this account never has a value: they are left out
EMPTY_COLUMNS: dict[str, str] = {
    **dict.fromkeys(("targetGroupName", "targetGroupId", "targetSubId", "targetBuyerSubId"), "keyword"),
    **dict.fromkeys(("noPayoutReason", "noConversionReason", "blockReason", "incompleteCallReason"), "keyword"),
    **dict.fromkeys(("offlineConversionUploaded", "isIncomplete", "wasBlocked", "wasBlockedByTCPA"), "boolean"),
    **dict.fromkeys(("hasVoiceMail", "winningBid", "winningBidCallAccepted", "winningBidCallRejected"), "boolean"),
    **dict.fromkeys(("conversionAdjustedCalls", "tcpaCount", "pingSuccessCount", "ivrDepth"), "long"),
    **dict.fromkeys(("icpCost", "tcpaCost", "pingTotalBidAmount", "avgPingTreeBidAmount"), "money"),
}

ALL_COLUMNS = COLUMNS | EMPTY_COLUMNS

#: a tag as a column: `tag:InboundNumber:Number`
TAG = re.compile(r"tag:[\w-]+:.+")

#: not sorted by
UNSORTED = ("recordingUrl", "timeToConnectInSeconds")

#: a record is adjusted if it changed later than this after the call
ADJUSTED = timedelta(minutes=1)


def known(column: str) -> bool:
    """Whether the call log has this column."""
    return column in ALL_COLUMNS or TAG.fullmatch(column) is not None


def record(call: Call, columns: Sequence[str], habits: Habits, *, live: bool) -> Json:
    """A row of the call log: no more than these columns, and those without a value not at all."""
    there = values(call, live=live)
    if call.whim(101) < habits.mixed_money:
        there.update({name: mixed(there[name], call.id, name) for name in MONEY if there[name] is not None})
    if call.whim(1009) < habits.numbers_as_strings:
        there.update({name: str(value) for name, value in there.items() if type(value) in (int, float)})
    if any(name.startswith("tag:") for name in columns):
        there |= {f"tag:{tag['type']}:{tag['name']}": tag["value"] for tag in message_tags(call, live=live)}
    return {name: there[name] for name in columns if there.get(name) is not None}


MONEY = ("conversionAmount", "payoutAmount", "profitNet", "profitGross")


def detail(call: Call, habits: Habits, *, live: bool) -> Json:
    """The whole call, with what happened on it and its tags."""
    return {
        **record(call, tuple(COLUMNS), habits, live=live),
        "events": [] if live else _events(call),
        "message-tags": message_tags(call, live=live),
    }


def values(call: Call, *, live: bool) -> Json:
    """Column → value; None where there is nothing. Of a call under way only the beginning is known."""
    there = {**_who(call), **_when(call), **_what(call), **_money(call), "isLive": live}
    if live:
        there.update(dict.fromkeys(LATER), hasConverted=False, hasPayout=False, hasRecording=False)
    return there


#: known only when the call is over
LATER = (
    "callCompletedDt",
    "callLengthInSeconds",
    "connectedCallLengthInSeconds",
    "endCallSource",
    "conversionAmount",
    "payoutAmount",
    "profitNet",
    "profitGross",
    "totalCost",
    "telcoCost",
    "recordingUrl",
)


def _who(call: Call) -> Json:
    publisher, buyer = call.publisher, call.buyer
    return {
        "inboundCallId": call.id,
        "campaignName": call.campaign.name,
        "campaignId": party_id("CA", call.campaign),
        "publisherName": publisher.name if publisher else "",
        "publisherId": party_id("AF", publisher),
        "publisherSubId": "",
        "targetName": buyer.name if buyer else "",
        "targetId": party_id("TA", buyer),
        "targetNumber": call.destination if buyer else "",
        "buyer": buyer.name if buyer else "",
        "buyerId": party_id("BU", buyer),
        "inboundPhoneNumber": call.customer,
        "number": call.line,
        "numberId": f"PV{call.line.removeprefix('+')}",
        "isFromNumberPool": False,
        "numberPoolId": "",
        "numberPoolName": "",
    }


def _when(call: Call) -> Json:
    """A moment that there is not is an empty text, or not told at all."""
    reached = call.answered_at
    nothing = "" if call.lead % 2 else None
    return {
        "callDt": milliseconds(call.started_at),
        "callConnectionDt": milliseconds(reached) if reached else nothing,
        "callCompletedDt": milliseconds(call.ended_at),
        "timeToCallInSeconds": call.ivr_seconds,
        "timeToConnectInSeconds": call.ivr_seconds + call.hold_seconds if reached else None,
        "callLengthInSeconds": call.seconds,
        "connectedCallLengthInSeconds": call.talk_seconds if reached else None,
    }


def _what(call: Call) -> Json:
    adjusted = call.updated_at - call.ended_at > ADJUSTED
    return {
        "hasConnected": call.answered_at is not None,
        "hasConverted": call.converted,
        "hasPayout": call.payout is not None,
        "hasRecording": call.answered_at is not None,
        "hasPreviouslyConnected": call.repeated,
        "hasAnnotations": bool(call.tags),
        "isDuplicate": call.repeated,
        "wasConversionAdjusted": adjusted,
        "wasPayoutAdjusted": adjusted,
        "endCallSource": "Caller" if call.lead % 3 else "Target",
        "recordingUrl": recording(call) or "",
    }


def _money(call: Call) -> Json:
    """JSON numbers; what never brought anything is a whole 0."""
    revenue, payout = call.revenue or Decimal(0), call.payout or Decimal(0)
    return {
        "conversionAmount": _number(revenue),
        "payoutAmount": _number(payout),
        "profitGross": _number(revenue - payout),
        "profitNet": _number(revenue - payout - call.cost),
        "telcoCost": _number(call.cost),
        "totalCost": _number(call.cost),
    }


def truth(call: Call, *, live: bool) -> Json:
    """What may be known of the call: normalised names and values, money as exact text."""
    known: Json = {
        "external_id": call.id,
        "direction": "inbound",
        "tracking_number": call.line,
        "caller_number": call.customer,
        "primary_phone": call.customer,
        "campaign_name": call.campaign.name,
        "publisher": call.publisher.name if call.publisher else None,
        "started_at": stamp(call.started_at),
        "duplicate": call.repeated,
    }
    return {**known, "status": "in_progress"} if live else {**known, **_outcome(call)}


def _outcome(call: Call) -> Json:
    known: Json = {
        "buyer": call.buyer.name if call.buyer else None,
        "destination_number": call.destination if call.buyer else None,
        "answered_at": stamp(call.answered_at) if call.answered_at else None,
        "ended_at": stamp(call.ended_at),
        "duration_seconds": call.seconds,
        "revenue": str(call.revenue or 0),
        "payout": str(call.payout or 0),
        "cost": str(call.cost),
        "converted": call.converted,
        "recording_url": recording(call),
    }
    return {**known, "status": "completed", "talk_seconds": call.talk_seconds} if call.answered_at else known


# ── the details ──


def _events(call: Call) -> list[Json]:
    """What happened on the call, in order."""
    happened: list[tuple[datetime, str, Json]] = []
    if call.answered_at:
        to = {"targetName": call.buyer.name if call.buyer else "", "targetNumber": call.destination}
        happened.append((call.started_at, "TargetDialed", to))
        happened.append((call.answered_at, "ConnectedCall", {**to, "callConnectionDt": milliseconds(call.answered_at)}))
    over = {"callLengthInSeconds": call.seconds, "callCompletedDt": milliseconds(call.ended_at)}
    happened.append((call.ended_at, "CompletedCall", over))
    if call.converted:
        money = _money(call)
        paid = {name: money[name] for name in ("conversionAmount", "payoutAmount")}
        happened.append((call.ended_at, "ConvertedCall", paid))
        happened.append((call.ended_at, "PayoutCall", {"payoutAmount": money["payoutAmount"]}))
    return [{"name": name, "dtStamp": _ticks(at), **fields} for at, name, fields in happened]


def message_tags(call: Call, *, live: bool) -> list[Json]:
    """Tags of the call, with the annotations that clients wrote on it."""
    tags = [
        _tag("Number", "InboundNumber", call.customer),
        _tag("Number", "DialedNumber", call.line),
        _tag("Name", "Campaign", call.campaign.name),
        _tag("Id", "Campaign", party_id("CA", call.campaign)),
        _tag("Name", "Publisher", call.publisher.name if call.publisher else ""),
    ]
    if not live:
        tags.append(_tag("Total", "CallLength", str(call.seconds)) | {"value-num": call.seconds})
    return tags + [_tag(name, "Annotations", value) for name, value in (call.tags or {}).items()]


def _tag(name: str, kind: str, value: str) -> Json:
    return {"name": name, "source": "Call", "type": kind, "value": value}


# ── pixels ──


def tokens(call: Call, event: str) -> dict[str, str]:
    """What the URL or body of a pixel holds once its tokens are filled in: text only, blank where nothing is known.

    The payout may not be set yet when a conversion is told, and the recording comes some seconds after the call.
    """
    connected = event != "Incoming" and call.answered_at is not None
    over = event not in ("Incoming", "Connected")
    money = event in ("Converted", "Payout", "Finalized")
    return {
        "event": event,
        "inboundCallId": call.id,
        "inboundPhoneNumber": call.customer,
        "number": call.line,
        "campaignName": call.campaign.name,
        "publisherName": call.publisher.name if call.publisher else "",
        "callDt": str(milliseconds(call.started_at)),
        "callConnectionDt": str(milliseconds(call.answered_at)) if connected and call.answered_at else "",
        "callLengthInSeconds": str(call.seconds) if over else "",
        "conversionAmount": str(call.revenue or 0) if money else "",
        "payoutAmount": str(call.payout or 0) if money and event != "Converted" else "",
        "recordingUrl": (recording(call) or "") if event in ("Recording", "Finalized") else "",
    }


# ── words ──


def party_id(prefix: str, party: Party | None) -> str:
    """As in `CA74c0…`: two letters and 32 hex digits; an empty text for nobody."""
    return f"{prefix}{blake2b(party.code.encode(), digest_size=16).hexdigest()}" if party else ""


def milliseconds(moment: datetime) -> int:
    """Since 1970, in whole milliseconds."""
    return (moment - EPOCH) // MILLISECOND


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def recording(call: Call) -> str | None:
    """Only calls that reached somebody are recorded. The address is a secret in itself."""
    return f"https://media.example.com/recording-public?v=v1&k={call.id[2:26]}" if call.answered_at else None


def _number(money: Decimal) -> float | int:
    return float(money) if money else 0


def _ticks(moment: datetime) -> str:
    """Seven places after the second, as .NET writes them."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"


# ── reports ──

Sum = Callable[[Sequence[Call]], float | int]


def _total(amount: Callable[[Call], Decimal]) -> Sum:
    return lambda some: _number(sum(map(amount, some), Decimal(0)))


#: column of `/insights` → what it is over some calls
INSIGHTS: dict[str, Sum] = {
    "callCount": len,
    "connectedCallCount": lambda some: sum(call.answered_at is not None for call in some),
    "convertedCalls": lambda some: sum(call.converted for call in some),
    "conversionAmount": _total(lambda call: call.revenue or Decimal(0)),
    "payoutAmount": _total(lambda call: call.payout or Decimal(0)),
    "profitGross": _total(lambda call: (call.revenue or Decimal(0)) - (call.payout or Decimal(0))),
    "totalCost": _total(lambda call: call.cost),
    "callLengthInSeconds": lambda some: sum(call.seconds for call in some),
}
