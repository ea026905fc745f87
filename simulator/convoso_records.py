"""Calls in Convoso's words: rows of the call log, rows of the recordings dialect, and fields of Convoso Connect."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from simulator.calls import OUTCOMES, SPOKEN, Call, Party
from simulator.habits import Habits
from simulator.stamps import seconds

Json = dict[str, Any]


def log_row(call: Call, zone: ZoneInfo, habits: Habits, *, recordings: bool) -> Json:
    """A row of `/log/retrieve`: nearly everything is text, times are local and do not say so."""
    queue = call.queue
    row: Json = {
        "id": call.id,
        "lead_id": str(call.lead),
        "list_id": str(300 + call.lead % 7),
        "campaign_id": str(call.campaign.number),
        "campaign": call.campaign.name,
        "user": call.agent.name,
        "user_id": str(call.agent.number),
        "phone_number": call.customer.removeprefix("+1"),
        "number_dialed": call.customer.removeprefix("+") if call.outbound else call.line.removeprefix("+"),
        "first_name": "Pat",
        "last_name": f"Lead {call.lead}",
        "status": call.outcome,
        "status_name": OUTCOMES[call.outcome],
        "call_length": str(call.seconds),
        "call_date": local(call.started_at, zone),
        "call_type": call_type(call),
        "term_reason": "AGENT" if call.answered_at else "NOANSWER",
        "queue": queue.name if queue else None,
        "queue_id": str(queue.number) if queue else None,
        "queue_seconds": str(call.hold_seconds if queue else 0),
        "queue_position": "1",
        "called_count": str(2 if call.repeated else 1),
        "caller_id_displayed": call.line.removeprefix("+1"),
        "agent_comment": None,
        "originating_agent_id": None,
        "session_id": f"s{call.id}",
    }
    if recordings:
        row["recording"] = _recordings(call)
    if call.whim(1009) < habits.numbers_as_strings:
        row.update({key: int(row[key]) for key in ("id", "lead_id", "call_length", "queue_seconds", "called_count")})
    return row


def recording_row(call: Call) -> Json:
    """A row of `/lead/get-recordings`: typed values, times in UTC."""
    return {
        "call_id": call.id,
        "lead_id": str(call.lead),
        "agent_id": str(call.agent.number),
        "agent_name": call.agent.name,
        "campaign_id": str(call.campaign.number),
        "campaign_name": call.campaign.name,
        "disposition": call.outcome,
        "phone_number": call.customer.removeprefix("+1"),
        "start_time": _utc(call.started_at),
        "end_time": _utc(call.ended_at),
        "duration": call.seconds,
        "talk_time": call.talk_seconds,
        "wrap_time": call.wrap_seconds,
        "recording_url": recording(call),
        "direction": "outbound" if call.outbound else "inbound",
        "queue": call.queue.code if call.queue else None,
        "language": "es" if "(ES)" in call.campaign.name else "en",
        "tags": ["first_call", "qualified"] if call.converted else ["first_call"],
    }


def campaign(party: Party, zone: ZoneInfo) -> Json:
    """A row of `/campaigns/search`: for once the id is a number. "Y" is active, "N" is not."""
    last = {"date": "2026-03-01 00:00:00.000000", "timezone_type": 3, "timezone": zone.key}
    return {"id": party.number, "name": party.name, "status": "Y", "last_call_date": last}


def connect_fields(call: Call, zone: ZoneInfo, event: str) -> dict[str, str]:
    """What Convoso Connect posts on an event: text only; what has no value is left out, or is the text "null"."""
    fields = {
        "event": event,
        "call_log_id": call.id,
        "lead_id": str(call.lead),
        "phone_number": call.customer.removeprefix("+1"),
        "call_date": local(call.started_at, zone),
        "call_type": call_type(call),
        "caller_id": call.line.removeprefix("+1"),
        "agent_id": str(call.agent.number),
        "agent_name": call.agent.name,
    }
    if event in ("initiated", "answered"):
        return {**fields, "term_reason": "NONE", "recording": "null"}
    return {
        **fields,
        "status": call.outcome,
        "length_in_sec": str(call.seconds),
        "term_reason": "AGENT" if call.answered_at else "NOANSWER",
        "recording": recording(call) or "null",
    }


def truth(call: Call, zone: ZoneInfo) -> Json:
    """What may be known of the call from the call log: normalised names and values."""
    known: Json = {
        "external_id": call.id,
        "direction": "outbound" if call.outbound else "inbound",
        "primary_phone": call.customer,
        "campaign_id": str(call.campaign.number),
        "campaign_name": call.campaign.name,
        "agent_id": str(call.agent.number),
        "agent_name": call.agent.name,
        "lead_id": str(call.lead),
        "disposition": call.outcome,
        "duration_seconds": call.seconds,
        "recording_url": recording(call),
    }
    if call.outcome in SPOKEN:
        known["status"] = "completed"
    # In the hour that the clocks repeat, a local time does not tell which of two moments is meant: nobody can know.
    if not repeated_hour(call.started_at, zone):
        known["started_at"] = _utc(call.started_at)
    return known


def local(moment: datetime, zone: ZoneInfo) -> str:
    """`2026-03-01 09:00:00` on the account's clocks, whatever zone that is."""
    return seconds(moment.astimezone(zone), " ")


def repeated_hour(moment: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks show the time of this moment twice on that day."""
    shown = moment.astimezone(zone)
    return shown.replace(fold=0).utcoffset() != shown.replace(fold=1).utcoffset()


def call_type(call: Call) -> str:
    if not call.outbound:
        return "INBOUND"
    return "MANUAL" if call.lead % 20 == 0 else "OUTBOUND"


def recording(call: Call) -> str | None:
    return f"https://recordings.example.com/convoso/{call.id}.mp3" if call.answered_at else None


def _recordings(call: Call) -> list[Json]:
    url = recording(call)
    if url is None:
        return []
    return [{"recording_id": f"7{call.id}", "src": url, "type": "mp3", "filename": f"{call.id}.mp3", "public_url": url}]


def _utc(moment: datetime) -> str:
    return f"{seconds(moment)}Z"


def today(now: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """The bounds of the account's present day."""
    day = now.astimezone(zone).strftime("%Y-%m-%d")
    return f"{day} 00:00:00", f"{day} 23:59:59"
