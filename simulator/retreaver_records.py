"""Calls in Retreaver's words: records of the API versions 1 to 4, and template tokens."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from simulator.amounts import mixed, number, text
from simulator.calls import Call, Party
from simulator.habits import Habits
from simulator.stamps import milliseconds, seconds

Json = dict[str, Any]

COMPANY = 2

PLACES = (
    ("28379", "Rockingham", "NC"),
    ("80920", "Colorado Springs", "CO"),
    ("10001", "New York", "NY"),
    ("78701", "Austin", "TX"),
)


def record(call: Call, version: int, habits: Habits) -> Json:
    """`{"call": {…}}`, as API version 1, 2, 3 or 4 gives it."""
    if version == 1:
        return {"call": _v1(call)}
    fields = _v2(call)
    if call.whim(101) < habits.mixed_money:
        fields.update({key: mixed(fields[key], call.id, key) for key in ("revenue", "payout", "profit_net")})
    if call.whim(1009) < habits.numbers_as_strings:
        fields.update({key: str(value) for key, value in fields.items() if type(value) in (int, float)})
    if version >= 3:
        fields["number"] = {"number": call.line, "name": f"{call.campaign.name} line"}
    if version >= 4:
        fields["campaign"] = {"id": str(fields.pop("campaign_id")), "name": call.campaign.name}
    return {"call": fields}


def truth(call: Call) -> Json:
    """What may be known of the call: normalised names and values, money as exact text."""
    return {
        "external_id": call.id,
        "status": "completed",
        "direction": "inbound",
        "tracking_number": call.line,
        "caller_number": call.customer,
        "destination_number": call.destination,
        "primary_phone": call.customer,
        "campaign_name": call.campaign.name,
        "publisher": call.publisher.name if call.publisher else None,
        "buyer": call.buyer.name if call.buyer else None,
        "started_at": stamp(call.started_at),
        "answered_at": stamp(call.answered_at),
        "ended_at": stamp(call.ended_at),
        "duration_seconds": call.seconds,
        "talk_seconds": call.talk_seconds,
        "hold_seconds": call.hold_seconds,
        "revenue": text(call.revenue),
        "payout": text(call.payout),
        "cost": text(call.cost),
        "converted": call.converted,
        "duplicate": call.repeated,
        "recording_url": recording(call),
        "provider_updated_at": stamp(call.updated_at),
    }


def tokens(call: Call, event: str) -> dict[str, str]:
    """What a template fills in for an event: text only, and blank where there is nothing (yet)."""
    over = event not in ("initiated", "answered")
    decided = event == "converted"
    place = _place(call)
    return {
        "event": event,
        "call_uuid": call.id,
        "caller_number": call.customer,
        "nanp_caller_number": call.customer.removeprefix("+1"),
        "call_start_time": stamp(call.started_at) or "",
        "campaign_id": str(call.campaign.number),
        "campaign_name": call.campaign.name,
        "affiliate_id": call.publisher.code if call.publisher else "",
        "sub_id": "",
        "caller_zip": place[0],
        "caller_state": place[2],
        "call_duration": str(call.seconds) if over else "",
        # What the template asks for and the call does not have may come as the bare token.
        "call_recording_url": (recording(call) or "[call_recording_url]") if over else "[call_recording_url]",
        "revenue": (text(call.revenue) or "") if decided else "[revenue]",
        "payout": (text(call.payout) or "") if decided else "",
        "hung_up_by": "caller" if over else "",
    }


def unfinished(call: Call, event: str, habits: Habits) -> Json:
    """The call object as it stands when an event happens: what is not over yet is null."""
    fields: Json = record(call, 2, habits)["call"]
    if event in ("initiated", "answered"):
        fields.update(dict.fromkeys(LATER))
        fields.pop("recording_url", None)
        fields["status"] = "initiated" if event == "initiated" else "in-progress"
        fields["updated_at"] = fields["created_at"]
    if event == "initiated":
        fields["forwarded_time"] = None
    elif event == "answered":
        fields["updated_at"] = stamp(max(call.answered_at or call.created_at, call.created_at))
    elif event == "completed" and call.converted:
        fields.update(
            revenue=None, payout=None, converted=False, payable=False, receivable=False, conversions_determined_at=None
        )
        fields["updated_at"] = stamp(call.ended_at)
    return fields


#: known only when the call is over
LATER = (
    "end_time",
    "total_duration",
    "dialed_call_duration",
    "hold_duration",
    "ivr_duration",
    "revenue",
    "payout",
    "converted",
    "payable",
    "receivable",
    "conversions_determined_at",
    "hung_up_by",
    "charge_total",
    "total_cost",
    "profit_gross",
    "profit_net",
    "billable_minutes",
)


def stamp(moment: datetime | None) -> str | None:
    """As in `2026-03-01T14:00:00.120Z`."""
    return milliseconds(moment) if moment else None


def recording(call: Call) -> str | None:
    """Only calls that reached somebody are recorded."""
    return f"https://recordings.example.com/{call.id}.mp3" if call.answered_at else None


def _v1(call: Call) -> Json:
    """The basic set, without milliseconds."""
    zip_code, city, state = _place(call)
    fields = {
        "uuid": call.id,
        "caller": call.customer,
        "caller_zip": zip_code,
        "caller_state": state,
        "caller_city": city.upper(),
        "caller_country": "US",
        "dialed_call_duration": call.talk_seconds,
        "total_duration": call.seconds,
        "status": "finished",
        "start_time": _whole_seconds(call.started_at),
        "forwarded_time": _whole_seconds(call.answered_at),
        "end_time": _whole_seconds(call.ended_at),
        "cid": call.campaign.code,
        "afid": call.publisher.code if call.publisher else None,
        "sid": None,
        "dialed_number": call.destination,
        "updated_at": _whole_seconds(call.updated_at),
        "created_at": _whole_seconds(call.created_at),
    }
    return fields | ({"recording_url": recording(call)} if call.answered_at else {})


def _v2(call: Call) -> Json:
    return {**_who(call), **_when(call), **_money(call), **_around(call), **_absent_at_times(call)}


def _who(call: Call) -> Json:
    publisher, buyer = call.publisher, call.buyer
    return {
        "uuid": call.id,
        "caller": call.customer,
        "caller_number_sent": None,
        "caller_country": "US",
        "dialed_number": call.destination,
        "number": call.line,
        "number_id": 4_900_000 + int(call.line[-3:]),
        "cid": call.campaign.code,
        "afid": _code(publisher),
        "tid": _code(buyer),
        "sid": None,
        "campaign_id": call.campaign.number,
        "campaign_name": call.campaign.name,
        "affiliate_name": publisher.name if publisher else None,
        "target_id": buyer.number if buyer else None,
        "target_name": buyer.name if buyer else None,
        "system_campaign_id": call.campaign.number,
        "system_affiliate_id": publisher.number if publisher else None,
        "system_target_id": buyer.number if buyer else None,
        "callpixels_target_id": buyer.number if buyer else None,
        "target_group": {"id": 1600 + buyer.number % 100, "name": f"{buyer.name} group"} if buyer else {},
        "company_id": COMPANY,
    }


def _when(call: Call) -> Json:
    return {
        "status": "finished",
        "start_time": stamp(call.started_at),
        "forwarded_time": stamp(call.answered_at),
        "end_time": stamp(call.ended_at),
        "total_duration": call.seconds,
        "dialed_call_duration": call.talk_seconds,
        "ivr_duration": call.ivr_seconds,
        "hold_duration": call.hold_seconds,
        "billable_minutes": -(-call.seconds // 60),
        "time_to_connect_in_seconds": call.ivr_seconds + call.hold_seconds,
        "time_to_call_in_seconds": None,
        "conversions_determined_at": stamp(call.updated_at),
        "created_at": stamp(call.created_at),
        "updated_at": stamp(call.updated_at),
    }


def _money(call: Call) -> Json:
    """Revenue and payout are numbers or null, what the call cost is text."""
    net = (call.revenue or Decimal(0)) - (call.payout or Decimal(0))
    return {
        "revenue": number(call.revenue),
        "payout": number(call.payout),
        "charge_total": str(call.cost),
        "total_cost": str(call.cost),
        "profit_gross": str(net - call.cost),
        "profit_net": float(net),
        "postback_value": None,
        "converted": call.converted,
        "payable": call.converted,
        "receivable": call.converted,
        "conversion_seconds": None,
    }


def _around(call: Call) -> Json:
    return {
        "connected": call.answered_at is not None,
        "duplicate": call.repeated,
        "payable_duplicate": False,
        "receivable_duplicate": False,
        "repeat": call.repeated,
        "rescued": False,
        "via": "inbound-dial",
        "hung_up_by": "caller",
        "keys_pressed": ["1"],
        "visitor_url": None,
        "tags": {
            "geo": f"301,us,us-{_place(call)[0]}",
            "status": "success",
            "request_id": call.id[:18],
            **(call.tags or {}),
        },
        "fired_pixels_count": 1,
        "fired_pixels": [{"fired_pixel": _pixel(call)}],
        "upstream_call_uuid": None,
        "downstream_call_uuids": [],
    }


def _pixel(call: Call) -> Json:
    return {
        "url": "https://pixel.example.com/fire",
        "fire_order": 0,
        "batch_uuid": call.id,
        "created_at": stamp(call.updated_at),
        "fired_at": None,
        "status": "new",
        "webhook_name": None,
    }


def _absent_at_times(call: Call) -> Json:
    """Keys that are not there at all where there is no value."""
    fields: Json = {"recording_url": recording(call)} if call.answered_at else {}
    if call.lead % 10:
        fields["caller_zip"], fields["caller_city"], fields["caller_state"] = _place(call)
    return fields


def _place(call: Call) -> tuple[str, str, str]:
    return PLACES[call.lead % len(PLACES)]


def _code(party: Party | None) -> str | None:
    return party.code if party else None


def _whole_seconds(moment: datetime | None) -> str | None:
    return f"{seconds(moment)}Z" if moment else None
