"""Convoso's call → `CallRecord`. Three vocabularies: the call log's, lead recordings' (the spec's names), Connect's."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from calltrack import mapping as read
from calltrack.errors import NotACall
from calltrack.mapping import Context, Raw
from calltrack.model import CallRecord, Direction, Status

#: an agent dialled, or dialled somebody into a call
DIRECTIONS = {**read.DIRECTIONS, "manual": Direction.OUTBOUND, "3way": Direction.OUTBOUND}
#: system status code → status. An account's own codes are its setting `statuses`; any other is an outcome of a talk.
CODES = {
    **read.STATUSES,
    **dict.fromkeys(("na", "naic", "nra"), Status.NO_ANSWER),
    **dict.fromkeys(("b", "ab"), Status.BUSY),
    **dict.fromkeys(("a", "aa", "am"), Status.VOICEMAIL),  # answering machines
    **dict.fromkeys(("dc", "cg"), Status.FAILED),  # disconnected number, congestion
}
#: how it ended → status, where the code does not say. "NONE" is no end at all.
REASONS = {
    **dict.fromkeys(("agent", "caller"), Status.COMPLETED),
    **dict.fromkeys(("queuetimeout", "afterhours"), Status.NO_ANSWER),
    "abandon": Status.CANCELED,
}


def _also(record: CallRecord, context: Context) -> None:
    raw, length = record.raw, record.duration_seconds
    if record.direction is None and record.complete:  # a dialer dials
        record.direction = Direction.OUTBOUND
    dialed = read.phone(raw.get("number_dialed"), context.region)
    if record.direction is Direction.INBOUND:
        record.tracking_number, record.caller_number = record.tracking_number or dialed, record.primary_phone
    elif record.direction is Direction.OUTBOUND:
        shown = read.first(read.text, raw, "caller_id_displayed", "caller_id")
        record.caller_number = read.phone(shown, context.region)
        record.destination_number = dialed or record.primary_phone
    if record.ended_at is None and record.started_at is not None and length is not None:
        record.ended_at = record.started_at + timedelta(seconds=length)
    record.status = _status(record, context)
    reason = read.text(raw.get("term_reason"))
    if reason is not None and reason != "NONE":
        record.metadata = {**(record.metadata or {}), "term_reason": reason}


def _status(record: CallRecord, context: Context) -> Status | None:
    """From the status code where it is one we know, else from how the call ended, else from whether it has a length."""
    reason = read.word(record.raw.get("term_reason"))
    codes = _codes(context.settings.get("statuses", ""))
    known = codes.get(read.word(record.disposition)) or REASONS.get(reason)
    if known is not None:
        return known
    if record.duration_seconds is None and record.ended_at is None:
        unsaid = Status.UNKNOWN if record.complete else None
        return Status.IN_PROGRESS if reason == "none" else unsaid
    return Status.NO_ANSWER if record.duration_seconds == 0 else Status.COMPLETED


@lru_cache(maxsize=100)
def _codes(own: str) -> dict[str, Status]:
    return {**CODES, **read.own_statuses(own)}


FIELDS = read.Fields(
    {
        "external_id": ("id", "call_id", "call_log_id"),
        "direction": ("call_type", "direction"),
        "tracking_number": "inbound_number",
        "primary_phone": "phone_number",
        "campaign_id": "campaign_id",
        "campaign_name": ("campaign", "campaign_name"),
        "agent_id": ("user_id", "agent_id"),
        "agent_name": ("user", "agent_name"),
        "agent_email": "agent_email",
        "lead_id": "lead_id",
        "disposition": ("disposition", "status"),
        "started_at": ("call_date", "start_time"),
        "ended_at": "end_time",
        "duration_seconds": ("call_length", "length_in_sec", "duration"),
        "talk_seconds": "talk_time",
        "wrap_seconds": "wrap_time",
        "hold_seconds": "queue_seconds",
        # in the log a list of files, with several URLs each
        "recording_url": ("recording_url", "recording.0.public_url", "recording.0.src", "recording.0", "recording"),
        "queue": "queue",
        "language": "language",
        "tags": "tags",
    },
    metadata=("list_id", "status_name", "call_type", "called_count", "queue_id", "session_id", "agent_comment"),
    directions=DIRECTIONS,
    notice_id=("call_log_id", "call_id", "id"),
    wrapper="",
    also=_also,
)


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A delivery of Convoso Connect: a few fields, chosen by the sender. One about a lead names no call: `NotACall`."""
    if event.startswith("lead") and read.first(read.text, raw, "call_log_id", "call_id") is None:
        raise NotACall
    return FIELDS.notice(raw, event, context)
