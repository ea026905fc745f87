"""Made-up Retreaver calls, as version 2 of the API gives them: about 1.2 KB each, evenly spread over some days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_OID, uuid5

import orjson


@dataclass(frozen=True)
class Made:
    """One call."""

    id: str
    created_at: datetime
    #: `{"call": {…}}`
    json: bytes


def make(number: int, days: float, until: datetime) -> list[Made]:
    """So many calls, oldest first, the last one just before `until`: the same ones for the same arguments."""
    step = timedelta(days=days) / max(1, number)
    first = until - timedelta(days=days)
    return [_made(index, first + step * index) for index in range(number)]


def _made(index: int, created_at: datetime) -> Made:
    call_id = str(uuid5(NAMESPACE_OID, f"call {index}"))
    talk, sold = 20 + index * 7 % 600, index % 3 == 0
    begun, connected = created_at - timedelta(milliseconds=180), created_at + timedelta(seconds=12)
    ended = connected + timedelta(seconds=talk)
    record = {
        "uuid": call_id,
        "caller": f"+1{2125550000 + index % 700_000}",
        "caller_number_sent": None,
        "caller_zip": f"{10_000 + index % 80_000}",
        "caller_state": ("NC", "CO", "NY", "TX")[index % 4],
        "caller_city": ("Rockingham", "Aurora", "New York", "Austin")[index % 4],
        "caller_country": "US",
        "dialed_call_duration": talk,
        "total_duration": talk + 12,
        "ivr_duration": 7,
        "hold_duration": 5,
        "status": "finished",
        "start_time": _stamp(begun),
        "forwarded_time": _stamp(connected),
        "end_time": _stamp(ended),
        "cid": f"c{index % 17:02}",
        "afid": f"pub-{index % 41}",
        "sid": None,
        "tid": None,
        "dialed_number": f"+1{7205550100 + index % 60}",
        "number": f"+1{8335550100 + index % 200}",
        "revenue": 25.0 + index % 40 if sold else None,
        "payout": 17.5 + index % 20 if sold else None,
        "charge_total": f"0.{10 + index % 80}",
        "total_cost": f"0.{10 + index % 80}",
        "hung_up_by": "caller",
        "duplicate": False,
        "repeat": index % 9 == 0,
        "converted": sold,
        "payable": sold,
        "receivable": sold,
        "connected": True,
        "system_target_id": 2200 + index % 60,
        "system_campaign_id": 9100 + index % 17,
        "campaign_id": 9100 + index % 17,
        "campaign_name": f"Solar West {index % 17}",
        "affiliate_name": f"Sunny Leads {index % 41}",
        "target_id": 2200 + index % 60,
        "target_name": f"Closers {index % 60}",
        "company_id": 2,
        "billable_minutes": talk // 60 + 1,
        "keys_pressed": ["1"],
        "via": "inbound-dial",
        "tags": {"geo": "301,us,us-28379", "status": "success"},
        "recording_url": f"https://recordings.example.com/{call_id}.mp3",
        "conversions_determined_at": _stamp(ended + timedelta(seconds=21)),
        "updated_at": _stamp(ended + timedelta(seconds=28)),
        "created_at": _stamp(created_at),
    }
    return Made(call_id, created_at, orjson.dumps({"call": record}))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
