"""Convoso's call → `CallRecord`. Three vocabularies: the call log's, lead recordings' (the spec's names), Connect's."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from calltrack import mapping as read
from calltrack.errors import NotACall
from calltrack.model import CallRecord, Direction, Status
from calltrack.provider import Context, Raw

REGION = "US"  # numbers come as ten digits
DIRECTIONS = {
    "inbound": Direction.INBOUND,
    "outbound": Direction.OUTBOUND,
    "manual": Direction.OUTBOUND,  # an agent dialled
    "3way": Direction.OUTBOUND,  # an agent dialled somebody into a call
}
#: system status code → status. An account's own codes are its setting `statuses`; any other is an outcome of a talk.
CODES = {
    **read.STATUSES,
    "na": Status.NO_ANSWER,
    "naic": Status.NO_ANSWER,
    "nra": Status.NO_ANSWER,
    "b": Status.BUSY,
    "ab": Status.BUSY,
    "a": Status.VOICEMAIL,  # answering machine
    "aa": Status.VOICEMAIL,
    "am": Status.VOICEMAIL,
    "dc": Status.FAILED,  # disconnected number
    "cg": Status.FAILED,  # congestion
}
#: how it ended → status, where the code does not say. "NONE" is no end at all.
REASONS = {
    "agent": Status.COMPLETED,
    "caller": Status.COMPLETED,
    "abandon": Status.CANCELED,
    "queuetimeout": Status.NO_ANSWER,
    "afterhours": Status.NO_ANSWER,
}
METADATA = ("list_id", "status_name", "call_type", "called_count", "queue_id", "session_id", "agent_comment")


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A call of the log, or of the lead recordings. Raises `RejectRecord` where it has no id."""
    record = _record(raw, context, read.external_id(raw, "id", "call_id", "call_log_id"), Direction.OUTBOUND)
    record.status = record.status or Status.UNKNOWN
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A delivery of Convoso Connect: a few fields, chosen by the sender. One about a lead names no call: `NotACall`."""
    if event.startswith("lead") and read.first(read.text, raw, "call_log_id", "call_id") is None:
        raise NotACall
    record = _record(raw, context, read.external_id(raw, "call_log_id", "call_id", "id"), None)
    record.complete = False
    if record.status is None:
        told = read.event_of(event)
        record.status, record.finality = told.status, told.finality
    return record


def _record(raw: Raw, context: Context, call_id: str, unsaid: Direction | None) -> CallRecord:
    """What the record says, and nothing besides: `unsaid` is the direction of a call that states none."""
    region, zone = context.settings.get("region", REGION), context.zone
    direction = _direction(raw, unsaid)
    inbound, outbound = direction is Direction.INBOUND, direction is Direction.OUTBOUND
    customer = read.phone(raw.get("phone_number"), region)
    dialed = read.phone(raw.get("number_dialed"), region)
    shown = read.phone(read.first(read.text, raw, "caller_id_displayed", "caller_id"), region)
    disposition = read.first(read.text, raw, "disposition", "status")
    length = read.first(read.whole, raw, "call_length", "length_in_sec", "duration")
    started_at = read.first(lambda value: read.moment(value, zone), raw, "call_date", "start_time")
    ended_at = read.moment(raw.get("end_time"), zone)
    if ended_at is None and started_at is not None and length is not None:
        ended_at = started_at + timedelta(seconds=length)
    return CallRecord(
        external_id=call_id,
        status=_status(raw, context, disposition, length, ended_at),
        direction=direction,
        tracking_number=read.phone(raw.get("inbound_number"), region) or (dialed if inbound else None),
        caller_number=customer if inbound else shown if outbound else None,
        destination_number=(dialed or customer) if outbound else None,
        primary_phone=customer,
        campaign_id=read.text(raw.get("campaign_id")),
        campaign_name=read.first(read.text, raw, "campaign", "campaign_name"),
        agent_id=read.first(read.text, raw, "user_id", "agent_id"),
        agent_name=read.first(read.text, raw, "user", "agent_name"),
        agent_email=read.text(raw.get("agent_email")),
        lead_id=read.text(raw.get("lead_id")),
        disposition=disposition,
        started_at=started_at,
        ended_at=ended_at,
        duration_seconds=length,
        talk_seconds=read.whole(raw.get("talk_time")),
        wrap_seconds=read.whole(raw.get("wrap_time")),
        hold_seconds=read.whole(raw.get("queue_seconds")),
        recording_url=read.first(_recording, raw, "recording_url", "recording"),
        queue=read.text(raw.get("queue")),
        language=read.text(raw.get("language")),
        tags=read.labels(raw.get("tags")),
        metadata=_metadata(raw),
        raw=raw,
    )


def _direction(raw: Raw, unsaid: Direction | None) -> Direction | None:
    said = read.first(read.text, raw, "call_type", "direction")
    return unsaid if said is None else DIRECTIONS.get(read.word(said), Direction.UNKNOWN)


def _status(
    raw: Raw, context: Context, disposition: str | None, length: int | None, ended_at: datetime | None
) -> Status | None:
    """From the status code where it is one we know, else from how the call ended, else from whether it has a length."""
    reason = read.word(raw.get("term_reason"))
    known = _codes(context.settings.get("statuses", "")).get(read.word(disposition)) or REASONS.get(reason)
    if known is not None:
        return known
    if length is None and ended_at is None:
        return Status.IN_PROGRESS if reason == "none" else None
    return Status.NO_ANSWER if length == 0 else Status.COMPLETED


@lru_cache(maxsize=100)
def _codes(own: str) -> dict[str, Status]:
    return {**CODES, **read.own_statuses(own)}


def _recording(value: Any) -> str | None:
    """A URL; in the log a list of files, with several each."""
    file = value[0] if isinstance(value, list) and value else value
    return read.first(read.link, file, "public_url", "src") if isinstance(file, dict) else read.link(file)


def _metadata(raw: Raw) -> dict[str, Any] | None:
    found = read.kept(raw, METADATA)
    reason = read.text(raw.get("term_reason"))
    if reason is not None and reason != "NONE":
        found["term_reason"] = reason
    return found or None
