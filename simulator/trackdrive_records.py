"""Calls in TrackDrive's words: the call object, what a subscription posts, and what templates fill in."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from simulator.amounts import mixed
from simulator.calls import Call, Party
from simulator.habits import Habits
from simulator.stamps import with_offset

Json = dict[str, Any]

MONEY = ("revenue", "payout", "traffic_source_payout")
#: where the provider's own share of a call's cost ends
OWN_COST = Decimal("0.02")

#: what has happened → the event of a subscription
EVENTS = {
    "initiated": "new_call",
    "answered": "call_forwarded",
    "completed": "call_ended",
    "converted": "call_changed",
}


def record(call: Call, zone: ZoneInfo, habits: Habits) -> Json:
    """The call object, as the list and the single call give it."""
    fields = {**_who(call), **_when(call, zone), **_money(call), **_around(call)}
    if call.whim(101) < habits.mixed_money:
        fields.update({key: mixed(fields[key], call.id, key) for key in MONEY})
    if call.whim(1009) < habits.numbers_as_strings:
        fields.update({key: str(value) for key, value in fields.items() if type(value) in (int, float)})
    return fields


def truth(call: Call) -> Json:
    """What may be known of the call: normalised names and values, money as exact text."""
    known: Json = {
        "external_id": call.id,
        "direction": "inbound",
        "tracking_number": call.line,
        "caller_number": call.customer,
        "primary_phone": call.customer,
        "campaign_id": str(call.campaign.number),
        "campaign_name": call.campaign.name,
        "publisher_id": _number(call.publisher),
        "publisher": call.publisher.name if call.publisher else None,
        "buyer_id": _number(call.buyer),
        "buyer": call.buyer.name if call.buyer else None,
        "started_at": call.started_at.isoformat(),
        "ended_at": call.ended_at.isoformat(),
        "duration_seconds": call.seconds,
        "talk_seconds": call.talk_seconds if call.answered_at else None,
        "hold_seconds": call.hold_seconds,
        "revenue": str(call.revenue or 0),
        "payout": str(call.payout or 0),
        "cost": str(call.cost),
        "recording_url": recording(call) or None,
        "provider_updated_at": call.updated_at.isoformat(),
    }
    # "finished" is all that a call says that reached nobody, and without a buyer nothing tells whether it converted.
    if call.answered_at:
        known["status"] = "completed"
    if converted(call):
        known["converted"] = call.converted
    return known


def unfinished(call: Call, event: str, zone: ZoneInfo) -> Json:
    """The call object as it stands when an event happens: what is not over yet is blank."""
    fields = record(call, zone, Habits())
    if event in ("initiated", "answered"):
        fields.update(dict.fromkeys(LATER, ""))
        fields["status"] = "ringing" if event == "initiated" else "in-progress"
        fields["updated_at"] = fields["created_at"]
    if event == "answered":
        fields["updated_at"] = stamp(call.answered_at or call.created_at, zone)
    elif event == "completed" and call.converted:
        fields.update(dict.fromkeys((*MONEY, *FLAGS), ""))
        fields["updated_at"] = stamp(call.ended_at, zone)
    return fields


def hint(call: Call, zone: ZoneInfo) -> Json:
    """A "call ended" that comes before its own facts: no durations, no recording, no money."""
    fields = unfinished(call, "initiated", zone)
    return {key: fields[key] for key in ("id", "uuid", "created_at", "caller_number", "number_called", *HINTED)}


def tokens(call: Call, event: str, zone: ZoneInfo) -> dict[str, str]:
    """What a template fills in, under the names of the call object: text only, blank where there is nothing (yet)."""
    fields = unfinished(call, event, zone)
    filled = {name: fields[name] for name in TOKENS}
    return {
        "event": EVENTS.get(event, event),
        **{name: "" if value is None else str(value) for name, value in filled.items()},
    }


def stamp(moment: datetime, zone: ZoneInfo) -> str:
    """As in `2026-03-01T09:00:00.120-05:00`, on the account's clocks."""
    return with_offset(moment.astimezone(zone))


def recording(call: Call) -> str:
    """Only calls that reached somebody are recorded; blank: this one is not."""
    return f"https://recordings.example.com/trackdrive/{call.id}.mp3" if call.answered_at else ""


def converted(call: Call) -> str:
    """In words, though it goes in as a boolean; blank where no buyer had a say."""
    if call.converted:
        return "Converted"
    return "Not Converted" if call.buyer else ""


FLAGS = ("buyer_converted", "offer_converted", "traffic_source_converted")

#: known only when the call is over
LATER = (
    "ended_at",
    "total_duration",
    "answered_duration",
    "hold_duration",
    "ivr_duration",
    "attempted_duration",
    "provider_cost",
    "trackdrive_cost",
    "recording_url",
    *MONEY,
    *FLAGS,
)
HINTED = ("total_duration", "answered_duration", "recording_url", *MONEY, *FLAGS)
TOKENS = (
    "uuid",
    "id",
    "caller_number",
    "number_called",
    "created_at",
    "ended_at",
    "status",
    "total_duration",
    "answered_duration",
    "offer",
    "offer_id",
    "buyer",
    "buyer_id",
    "traffic_source",
    "traffic_source_id",
    "revenue",
    "payout",
    "buyer_converted",
    "recording_url",
)


def _who(call: Call) -> Json:
    publisher, buyer = call.publisher, call.buyer
    return {
        "id": call.number,
        "uuid": call.id,
        "caller_number": call.customer,
        "number_called": call.line,
        "offer": call.campaign.name,
        "offer_id": call.campaign.number,
        "traffic_source": publisher.name if publisher else None,
        "traffic_source_id": publisher.number if publisher else None,
        "buyer": buyer.name if buyer else None,
        "buyer_id": buyer.number if buyer else None,
    }


def _when(call: Call, zone: ZoneInfo) -> Json:
    return {
        "status": "finished",
        "created_at": stamp(call.created_at, zone),
        "ended_at": stamp(call.ended_at, zone),
        "updated_at": stamp(call.updated_at, zone),
        "total_duration": call.seconds,
        "answered_duration": call.talk_seconds if call.answered_at else "",
        "hold_duration": call.hold_seconds,
        "ivr_duration": call.ivr_seconds,
        "attempted_duration": call.ivr_seconds + call.hold_seconds,
        "agent_duration": "",
    }


def _money(call: Call) -> Json:
    return {
        "revenue": float(call.revenue or 0),
        "payout": float(call.payout or 0),
        "traffic_source_payout": float(call.payout or 0),
        "provider_cost": float(call.cost - OWN_COST),
        "trackdrive_cost": float(OWN_COST),
        **dict.fromkeys(FLAGS, converted(call)),
    }


def _around(call: Call) -> Json:
    return {
        "recording_url": recording(call),
        "repeat_caller": call.repeated,
        "token_values": {"sub_id": f"s{call.lead % 9}", **(call.tags or {})},
    }


def _number(party: Party | None) -> str | None:
    return str(party.number) if party else None
