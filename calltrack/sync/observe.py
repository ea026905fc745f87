"""From what a provider sent to observations: map, check, digest. What cannot become a call becomes a reject."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson

from calltrack.errors import NotACall, RejectRecord
from calltrack.mapping.rules import excluded_by
from calltrack.model import CallRecord, Observation, Source

MAX_ID = 255
#: levels of a record that are kept
NESTING = 100
MAX_INTEGER = 2**31 - 1
MAX_MONEY = Decimal(10) ** 12
WHOLE = ("duration_seconds", "talk_seconds", "wrap_seconds", "ring_seconds", "hold_seconds")
MONEY = ("revenue", "payout", "cost")
_seconds, _amounts = attrgetter(*WHOLE), attrgetter(*MONEY)


@dataclass(frozen=True)
class Door:
    """Through which a batch of raw records came in."""

    account_id: UUID
    provider: str
    mapper_version: int
    source: Source
    landed_at: datetime
    page_id: int | None = None
    delivery_id: int | None = None
    #: the type of a delivery: it tells something too, so it is a part of the content
    event: str = ""
    #: whether the provider's records carry a version
    versioned: bool = False


@dataclass(frozen=True)
class Reject:
    """A record that cannot become a call: as it came, and why."""

    door: Door
    raw: bytes
    digest: bytes
    reason: str
    detail: str


@dataclass
class Sight:
    """What a batch of raw records turned out to be."""

    observations: list[Observation] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    #: what a rule of the account leaves out, with the rule
    excluded: list[tuple[Observation, str]] = field(default_factory=list)

    def take(self, observation: Observation, rules: str) -> None:
        """Add one, unless a rule leaves it out."""
        rule = excluded_by(observation.record, rules)
        if rule is None:
            self.observations.append(observation)
        else:
            self.excluded.append((observation, rule))


def observe(
    records: Iterable[dict[str, Any]], mapper: Callable[[dict[str, Any]], CallRecord], door: Door, rules: str = ""
) -> Sight:
    """Map and check every record. `rules`: which calls the account leaves out (`mapping.rules`).

    Raises `NotACall` only, which is for a single delivery to say.
    """
    sight = Sight()
    for raw in records:
        body, clean = _storable(raw)
        content = body + b"\0" + door.event.encode() if door.event else body
        digest = blake2b(content, digest_size=16, salt=door.mapper_version.to_bytes(4)).digest()
        try:
            record = checked(mapper(clean))
        except RejectRecord as error:
            sight.rejects.append(Reject(door, body, digest, error.reason, error.message))
        except NotACall:
            raise
        except Exception as error:  # noqa: BLE001 - a fault in a mapping must not stop the page; the record is kept
            sight.rejects.append(Reject(door, body, digest, "mapper_failed", type(error).__name__))
        else:
            sight.take(_observation(record, body if record.raw is clean else None, digest, door), rules)
    return sight


def _observation(record: CallRecord, body: bytes | None, digest: bytes, door: Door) -> Observation:
    return Observation(
        door.account_id,
        door.provider,
        record,
        door.source,
        door.landed_at,
        digest,
        door.mapper_version,
        door.page_id,
        door.delivery_id,
        hearsay=door.versioned and not record.complete and record.provider_updated_at is None,
        body=body,
    )


def _storable(raw: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The record as JSON bytes and as values, without the NUL characters that Postgres cannot hold."""
    try:
        body = orjson.dumps(raw)
    except TypeError:  # orjson reads deeper than it writes
        raw = _shallow(raw, NESTING)
        body = orjson.dumps(raw)
    if rb"\u0000" not in body:
        return body, raw
    clean = _without_nul(raw)
    return orjson.dumps(clean), clean


def _shallow(value: Any, levels: int) -> Any:
    """The value, with "…" for what stands deeper than so many levels. The page or delivery has it as it came."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return "…"
    if isinstance(value, list):
        return [_shallow(item, levels - 1) for item in value]
    return {key: _shallow(item, levels - 1) for key, item in value.items()}


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {key.replace("\0", ""): _without_nul(item) for key, item in value.items()}
    return value


def checked(record: CallRecord) -> CallRecord:
    """The record, if the database can hold it. A mapping that lets nonsense through is caught here."""
    if not record.external_id.strip() or len(record.external_id) > MAX_ID:
        raise RejectRecord("The record has no usable id.", "no_id")
    for seconds in _seconds(record):
        if seconds is not None and not 0 <= seconds <= MAX_INTEGER:
            raise RejectRecord("A duration is out of range.", "out_of_range")
    for amount in _amounts(record):
        if amount is not None and not (amount.is_finite() and abs(amount) < MAX_MONEY):
            raise RejectRecord("An amount is out of range.", "out_of_range")
    return record
