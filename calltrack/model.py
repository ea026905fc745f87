"""The one shape that every provider's calls take. Read this page first.

A provider's record becomes a `CallRecord`; a `CallRecord` seen at some moment, through some door, is an
`Observation`; the observations of a call merge into its row (`calltrack.sync.merge`).

`None` in a field means "this observation does not have it", never "the value is empty". The one exception is
`CallRecord.emptied`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from hashlib import sha1
from typing import Any
from uuid import UUID


class Status(StrEnum):
    """Where a call stands. A vendor word we do not know becomes UNKNOWN, never an exception."""

    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"  # ended after it was connected to somebody or something
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    CANCELED = "canceled"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Direction(StrEnum):
    """Who called whom, seen from the user's company."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


class Finality(IntEnum):
    """How far a call was when it was observed. A later stage outweighs any version of an earlier one."""

    NOT_STATED = 0
    STARTED = 1
    ANSWERED = 2
    ENDED = 3


class Source(IntEnum):
    """Through which door an observation came; with everything else equal the greater one wins."""

    UNVERIFIED_WEBHOOK = 1
    VERIFIED_WEBHOOK = 2
    API_RECORD = 3


STAGES = {
    Status.UNKNOWN: Finality.NOT_STATED,
    Status.INITIATED: Finality.STARTED,
    Status.RINGING: Finality.STARTED,
    Status.IN_PROGRESS: Finality.ANSWERED,
}


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """A call as a provider tells it, normalised. The field names are the columns of `calls`."""

    #: the provider's own id of the call: opaque str, never blank, at most 255 characters
    external_id: str

    status: Status | None = None
    direction: Direction | None = None

    #: E.164 where the number can be read so, else the provider's text. The number that was dialled by the caller.
    tracking_number: str | None = None
    #: E.164 where possible. Who called.
    caller_number: str | None = None
    #: E.164 where possible. Where the call was sent on to.
    destination_number: str | None = None
    #: E.164 where possible. The customer's number, whichever side of the call it is on.
    primary_phone: str | None = None

    # Names and ids of the business around the call: opaque str, as the provider writes them.
    campaign_id: str | None = None
    campaign_name: str | None = None
    publisher_id: str | None = None
    publisher: str | None = None
    buyer_id: str | None = None
    buyer: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    agent_email: str | None = None
    lead_id: str | None = None
    #: the provider's outcome code or word, not normalised
    disposition: str | None = None

    # Aware UTC.
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None

    # Whole seconds, never negative.
    duration_seconds: int | None = None
    talk_seconds: int | None = None
    wrap_seconds: int | None = None
    ring_seconds: int | None = None
    hold_seconds: int | None = None

    # Money in the account's currency, exact, at most 6 decimals. Taken from verified observations only.
    revenue: Decimal | None = None
    payout: Decimal | None = None
    cost: Decimal | None = None
    #: whether the call converted. Taken from verified observations only.
    converted: bool | None = None
    #: whether the provider itself calls this a repeated call
    duplicate: bool | None = None

    #: where the recording can be fetched; may expire, may itself be a secret
    recording_url: str | None = None
    queue: str | None = None
    language: str | None = None
    tags: list[str] | None = None
    #: whatever else is worth a query, under the provider's names
    metadata: dict[str, Any] | None = None

    #: the provider's own "last changed": aware UTC. None where the provider has no such thing.
    provider_updated_at: datetime | None = None

    #: the provider's record as it came, JSON types. Only a complete record is kept with the row.
    raw: dict[str, Any] = field(default_factory=dict)
    #: whether `raw` is the whole record as the provider's API gives it, not a notice with a few fields
    complete: bool = True
    #: how far the call was; by default read off `status` and `ended_at` (see `stage`)
    finality: Finality | None = None
    #: fields which a complete record states to be empty: a withdrawn revenue, say. They win as values do.
    emptied: frozenset[str] = frozenset()

    def stage(self) -> Finality:
        """How far through its life the call was when this was observed."""
        if self.finality is not None:
            return self.finality
        if self.ended_at is not None:
            return Finality.ENDED
        if self.status is None:
            return Finality.NOT_STATED
        return STAGES.get(self.status, Finality.ENDED)


#: the fields of a `CallRecord` that merge one by one and stand in a column of the same name
FIELDS = tuple(
    each.name
    for each in fields(CallRecord)
    if each.name not in {"external_id", "metadata", "raw", "complete", "finality", "emptied"}
)


@dataclass(slots=True)
class Observation:
    """One sight of one call: what was said, by which door, and when it was landed."""

    account_id: UUID
    provider: str
    record: CallRecord
    source: Source
    #: when the bytes were committed to `webhook_logs` or `sync_pages`: aware UTC. Never the moment of processing.
    landed_at: datetime
    #: blake2b-128 over the provider's record and the mapper version: equal means "said exactly this before"
    digest: bytes
    mapper_version: int = 1
    #: where the bytes lie: one of the two
    page_id: int | None = None
    delivery_id: int | None = None
    #: a notice without a version, of a provider whose records carry one: any of those outranks it
    hearsay: bool = False
    #: `record.raw` as JSON, where it has been written already
    body: bytes | None = None

    @property
    def versioned(self) -> bool:
        """Whether the provider itself says which version of the call this is."""
        return self.record.provider_updated_at is not None

    @property
    def dated(self) -> bool:
        """Whether the moment of landing stands for the version that the provider's records do not have."""
        return not (self.versioned or self.hearsay)


#: the bits of a UUID that say what kind it is (RFC 9562, section 4): all others, and those of version 5
_UNMARKED = ~(0xF << 76 | 0x3 << 62)
_VERSION_5 = 0x5 << 76 | 0x2 << 62


def call_id(account_id: UUID, external_id: str) -> UUID:
    """The deterministic id of a call: uuid5 of the account and the provider's id."""
    # What `uuid.uuid5` does, in 60 % of its time: it is done for every record.
    digest = sha1(account_id.bytes + external_id.encode(), usedforsecurity=False).digest()
    return UUID(int=int.from_bytes(digest[:16]) & _UNMARKED | _VERSION_5)
