"""A call as it is looked up: its row, without the merge's own books and without the provider's record.

Packed it is `SHAPE` and a JSON list of its values, in the order of the fields. What comes out is equal to what Postgres
gives, type by type: amounts keep their digits, times their microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import DateTime, Numeric, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from calltrack.db.tables import calls


class Call(NamedTuple):
    """A row of `calls`. What each field means: `calltrack.model.CallRecord`."""

    id: UUID
    account_id: UUID
    provider: str
    external_id: str
    status: str | None
    direction: str | None
    tracking_number: str | None
    caller_number: str | None
    destination_number: str | None
    primary_phone: str | None
    campaign_id: str | None
    campaign_name: str | None
    publisher_id: str | None
    publisher: str | None
    buyer_id: str | None
    buyer: str | None
    agent_id: str | None
    agent_name: str | None
    agent_email: str | None
    lead_id: str | None
    disposition: str | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    duration_seconds: int | None
    talk_seconds: int | None
    wrap_seconds: int | None
    ring_seconds: int | None
    hold_seconds: int | None
    revenue: Decimal | None
    payout: Decimal | None
    cost: Decimal | None
    converted: bool | None
    duplicate: bool | None
    #: may itself be a secret
    recording_url: str | None
    queue: str | None
    language: str | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    provider_updated_at: datetime | None
    #: of the row: its last write, first sight, and last change of a value
    last_synced_at: datetime
    created_at: datetime
    updated_at: datetime


NAMES = Call._fields

#: how a value that JSON does not know is read; metadata is packed as Postgres writes it, so that no number is touched
_READ: dict[type[Any], Callable[[str], Any]] = {
    Uuid: UUID,
    DateTime: datetime.fromisoformat,
    Numeric: Decimal,
    JSONB: orjson.loads,
}
_KINDS = {name: type(calls.c[name].type) for name in NAMES}
_READ_AT = [(place, _READ[kind]) for place, kind in enumerate(_KINDS.values()) if kind in _READ]

#: the columns to select, in the order that `pack` wants them in
COLUMNS = ", ".join(f"{name}::text" if kind is JSONB else name for name, kind in _KINDS.items())
#: names this way of packing: what another version of calltrack has packed is not read
SHAPE = blake2b(COLUMNS.encode(), digest_size=4).hexdigest().encode()


def pack(row: Sequence[Any]) -> bytes:
    """A row of `COLUMNS`, compactly."""
    return SHAPE + orjson.dumps(row, default=str)


def unpack(packed: bytes) -> Call:
    """The call that was packed."""
    values = orjson.loads(packed.removeprefix(SHAPE))
    for place, read in _READ_AT:
        if values[place] is not None:
            values[place] = read(values[place])
    return Call._make(values)
