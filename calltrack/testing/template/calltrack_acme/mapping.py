"""Acme's call → `CallRecord` (calltrack/model.py says what each field means)."""

from __future__ import annotations

from calltrack import mapping as read
from calltrack.model import CallRecord, Direction, Status
from calltrack.provider import Context, Raw, unwrap

REGION = "US"
# CHANGE: Acme's words → ours, besides the usual ones. A word that nobody knows becomes UNKNOWN, never an exception.
STATUSES = {**read.STATUSES, "hung_up_early": Status.CANCELED}
DIRECTIONS = {"in": Direction.INBOUND, "out": Direction.OUTBOUND}
# CHANGE: amounts that an API record may take back, by stating them as null → the fields they are read from
AMOUNTS = {"revenue": ("revenue",), "cost": ("cost",)}


def map_call(raw: Raw, context: Context) -> CallRecord:
    """A call as the API gives it. Raises `RejectRecord` where it has no id."""
    record = _record(raw, context)
    record.emptied = read.emptied(record, AMOUNTS)
    record.status = record.status or Status.UNKNOWN
    return record


def map_delivery(raw: Raw, event: str, context: Context) -> CallRecord:
    """A webhook: some fields of a call. CHANGE: raise `NotACall` for what is not about a call."""
    record, told = _record(unwrap(raw, "call"), context), read.event_of(event)
    record.complete = False
    if record.status is None:
        record.status, record.finality = told.status, told.finality
    return record


def _record(raw: Raw, context: Context) -> CallRecord:
    """What the record says, and nothing besides. CHANGE: one line for each field that Acme has."""
    region, zone = context.settings.get("region", REGION), context.zone
    caller = read.phone(raw.get("caller"), region)
    return CallRecord(
        external_id=read.external_id(raw, "id"),
        status=STATUSES.get(read.word(raw.get("status"))),
        direction=_direction(raw),
        tracking_number=read.phone(raw.get("number"), region),
        caller_number=caller,
        primary_phone=caller,
        campaign_name=read.text(raw.get("campaign")),
        started_at=read.moment(raw.get("started_at"), zone),
        ended_at=read.moment(raw.get("ended_at"), zone),
        duration_seconds=read.whole(raw.get("seconds")),
        revenue=read.money(raw.get("revenue")),
        cost=read.money(raw.get("cost")),
        converted=read.flag(raw.get("converted")),
        recording_url=read.link(raw.get("recording")),
        metadata=read.kept(raw, ("team",)) or None,
        provider_updated_at=read.moment(raw.get("updated_at"), zone),
        raw=raw,
    )


def _direction(raw: Raw) -> Direction | None:
    """None where nothing is said: a notice must not overwrite what is known."""
    said = read.word(raw.get("direction"))
    return DIRECTIONS.get(said, Direction.UNKNOWN) if said else None
