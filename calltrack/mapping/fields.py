"""The table of a mapping: where each field of a call stands in a provider's record.

How a field is read follows from what it is (`calltrack.model.CallRecord`): text, E.164, aware UTC, whole seconds, exact
money. What is odd about a provider is said in the few lines of `also`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any, NamedTuple

from calltrack.mapping.amounts import emptied
from calltrack.mapping.context import Context, Raw, unwrap
from calltrack.mapping.numbers import money, whole
from calltrack.mapping.phones import phone
from calltrack.mapping.text import blank, external_id, flag, kept, labels, link, text
from calltrack.mapping.times import moment
from calltrack.mapping.words import DIRECTIONS, EVENTS, STATUSES, Event, event_of, word
from calltrack.model import FIELDS, CallRecord, Direction, Status

#: where a field stands: the names it may have, the first that can be read counts; dotted where it lies deeper, "0"
#: for the first of a list
Names = str | tuple[str, ...]

CONTAINERS = (dict, list)
PHONES = frozenset({"tracking_number", "caller_number", "destination_number", "primary_phone"})
MOMENTS = frozenset({"started_at", "answered_at", "ended_at", "provider_updated_at"})
#: the other fields that are no plain text
READERS: Mapping[str, Callable[[Any], object]] = {
    **dict.fromkeys(("duration_seconds", "talk_seconds", "wrap_seconds", "ring_seconds", "hold_seconds"), whole),
    **dict.fromkeys(("revenue", "payout", "cost"), money),
    **dict.fromkeys(("converted", "duplicate"), flag),
    "recording_url": link,
    "tags": labels,
}


class _Column(NamedTuple):
    """A field of a call, and how it is read from where."""

    field: str
    read: Callable[..., object]
    places: tuple[str, ...]


@dataclass(frozen=True)
class Fields:
    """How a provider's records are read.

    FIELDS = Fields({"external_id": ("uuid", "call_uuid"), "status": "status", "started_at": "created_at"})
    FIELDS.call(raw, context)           # a record of the API
    FIELDS.notice(raw, event, context)  # a delivery
    """

    names: Mapping[str, Names]
    #: names that are worth a query and have no field of their own
    metadata: tuple[str, ...] = ()
    #: the provider's words (as `word` spells them) → ours. One of the API's that is not here is UNKNOWN.
    statuses: Mapping[str, Status] = field(default_factory=lambda: STATUSES)
    directions: Mapping[str, Direction] = field(default_factory=lambda: DIRECTIONS)
    #: types of events → what they tell of a delivery that says nothing of its status
    events: Mapping[str, Event] = field(default_factory=lambda: EVENTS)
    #: how moments are written: (value, the account's zone) → aware UTC
    moments: Callable[[Any, tzinfo], datetime | None] = moment
    #: amounts that the API takes back by stating them as null or ""; see `CallRecord.emptied`
    withdrawn: tuple[str, ...] = ()
    #: the API leaves out what is empty, so that a missing amount is withdrawn, too
    left_out: bool = False
    #: the names of the id in a delivery, where they are others, or in another order
    notice_id: Names = ()
    #: the key around the call in a delivery, where there is one
    wrapper: str = "call"
    #: a delivery in which none of these is blank is the API's own record, and no notice
    whole: tuple[str, ...] = ()
    #: (the record as it was read, with its `raw`; context): whatever else there is to say, changed in place
    also: Callable[[CallRecord, Context], None] | None = None

    def __post_init__(self) -> None:
        unknown = {*self.names, *self.withdrawn} - {*FIELDS, "external_id"}
        if unknown:
            raise ValueError(f"A call has no {', '.join(sorted(unknown))}: write one of {', '.join(FIELDS)}")

    def call(self, raw: Raw, context: Context) -> CallRecord:
        """A call as the API gives it. Raises `RejectRecord` where it has no id."""
        record = self._read(raw, context, self._id, complete=True)
        if record.status is None and any(not blank(raw.get(name)) for name in _each(self.names.get("status", ()))):
            record.status = Status.UNKNOWN
        if self.withdrawn:
            record.emptied = emptied(record, self._amounts, left_out=self.left_out)
        return record

    def notice(self, raw: Raw, event: str, context: Context) -> CallRecord:
        """A delivery: some fields of a call, chosen by whoever sends it. What is not said stays open."""
        call, told = unwrap(raw, self.wrapper), event_of(event, self.events)
        if self.whole and not any(blank(call.get(name)) for name in self.whole):
            record = self.call(call, context)
        else:
            record = self._read(call, context, _each(self.notice_id) or self._id, complete=False)
        if record.status is None:
            record.status, record.finality = told.status, record.finality or told.finality
        if record.converted is None:
            record.converted = told.converted
        return record

    def _read(self, raw: Raw, context: Context, names: tuple[str, ...], *, complete: bool) -> CallRecord:
        """What the record says, and nothing besides."""
        plain, phones, moments = self._columns
        found: dict[str, Any] = {}
        deeper = {
            name: value
            for name, steps in self._deep
            if raw.get(steps[0]).__class__ in CONTAINERS and (value := _deeper(raw, steps)) is not None
        }
        seen = raw | deeper if deeper else raw
        _take(found, seen, plain)
        _take_in(found, seen, phones, context.region)
        _take_in(found, seen, moments, context.zone)
        if self.metadata:
            found["metadata"] = kept(raw, self.metadata) or None
        record = CallRecord(external_id=external_id(raw, *names), raw=raw, complete=complete, **found)
        if self.also is not None:
            self.also(record, context)
        return record

    @cached_property
    def _id(self) -> tuple[str, ...]:
        return _each(self.names["external_id"])

    @cached_property
    def _deep(self) -> list[tuple[str, list[str]]]:
        """The names that lie deeper, each with the steps to it."""
        return [(name, name.split(".")) for names in self.names.values() for name in _each(names) if "." in name]

    @cached_property
    def _amounts(self) -> Mapping[str, tuple[str, ...]]:
        return {column: _each(self.names[column]) for column in self.withdrawn}

    @cached_property
    def _columns(self) -> tuple[list[_Column], list[_Column], list[_Column]]:
        """The table, ready to be walked: plain fields, phone numbers, moments."""
        own = {"status": self._status, "direction": self._direction}
        plain, phones, moments = list[_Column](), list[_Column](), list[_Column]()
        for name, names in self.names.items():
            if name in PHONES:
                phones.append(_Column(name, phone, _each(names)))
            elif name in MOMENTS:
                moments.append(_Column(name, self.moments, _each(names)))
            elif name != "external_id":
                plain.append(_Column(name, own.get(name) or READERS.get(name, text), _each(names)))
        return plain, phones, moments

    def _status(self, value: Any) -> Status | None:
        return self.statuses.get(word(value))

    def _direction(self, value: Any) -> Direction | None:
        """None where nothing is said: a notice must not overwrite what is known."""
        said = word(value)
        return self.directions.get(said, Direction.UNKNOWN) if said else None


def _take(found: dict[str, Any], raw: Raw, columns: list[_Column]) -> None:
    """Of each column the first value that can be read. This and the next run for every field of every record."""
    for name, read, places in columns:
        for place in places:
            value = raw.get(place)
            if value is not None and (value := read(value)) is not None:
                found[name] = value
                break


def _take_in(found: dict[str, Any], raw: Raw, columns: list[_Column], where: object) -> None:
    """The same for what is read by the account's region, or in its time zone."""
    for name, read, places in columns:
        for place in places:
            value = raw.get(place)
            if value is not None and (value := read(value, where)) is not None:
                found[name] = value
                break


def _deeper(raw: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(raw, dict):
            raw = raw.get(step)
        elif isinstance(raw, list) and step == "0":
            raw = raw[0] if raw else None
        else:
            return None
    return raw


def _each(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
