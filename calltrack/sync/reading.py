"""What was landed, read again or for the first time: a page of the provider's list, or a delivery.

As a rule a record is read once, by the provider's mapper, into `calls`. An account in shadow mode is read into
`shadow_calls`; a candidate mapper reads into `shadow_calls` beside the other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isal import isal_zlib

from calltrack import registry
from calltrack.client.answer import Answer
from calltrack.db import upsert
from calltrack.errors import FixConfiguration
from calltrack.mapping import Context
from calltrack.model import Source
from calltrack.provider import Mapper, Provider
from calltrack.sync import inbox
from calltrack.sync.observe import Door, Sight, observe

#: in the cursor of a page that is one call, asked for by its id
ONE = "call"
LIVE, SHADOW = "live", "shadow"
CANDIDATE = "candidate"


@dataclass(frozen=True)
class Reading:
    """Which mapper reads, and where its calls go."""

    mapper: Mapper
    target: upsert.Table


def readings(row: Mapping[Any, Any]) -> tuple[Reading, ...]:
    """How an account is read, from a row with its `provider`, `account_mode` and `shadow_mapper`.

    The first reading is the one that counts, and that says what is rejected.
    """
    provider = registry.get(row["provider"])
    live = Reading(provider.mapper, upsert.CALLS)
    if row["account_mode"] == LIVE and not row["shadow_mapper"]:
        return (live,)
    beside = Reading(mapper(provider, row["shadow_mapper"]), upsert.SHADOW)
    return (beside,) if row["account_mode"] == SHADOW else (live, beside)


def mapper(provider: Provider, name: str | None) -> Mapper:
    """The provider's mapper, or its candidate. Raises `FixConfiguration` where it has none."""
    if name is None:
        return provider.mapper
    if provider.candidate is None:
        raise FixConfiguration(f"{provider.title} has no candidate mapper: its declaration names none.")
    return provider.candidate


def read_page(page: Mapping[Any, Any], mapper: Mapper) -> Sight:
    """What a page of the list shows: a row of `sync_pages`, with its account's `settings`."""
    context = Context(page["settings"])
    calls = registry.get(page["provider"]).calls(page["settings"])
    door = Door(
        account_id=page["account_id"],
        provider=page["provider"],
        mapper_version=mapper.version,
        source=Source.API_RECORD,
        landed_at=page["fetched_at"],
        page_id=page["id"],
    )
    answer = Answer(200, {}, isal_zlib.decompress(page["body"]))
    records = calls.read_one(answer) if ONE in page["cursor"] else calls.read(answer)
    return observe(records, lambda raw: mapper.map_call(raw, context), door, _rules(page))


def read_delivery(delivery: Mapping[Any, Any], mapper: Mapper) -> Sight:
    """What a delivery tells: a row of `webhook_logs`, with its account's `settings`.

    Raises `NotACall` where it is about none, and `RefuseDelivery` where it cannot be read.
    """
    event, context = delivery["event_type"] or "", Context(delivery["settings"])
    door = Door(
        account_id=delivery["account_id"],
        provider=delivery["provider"],
        mapper_version=mapper.version,
        source=Source.VERIFIED_WEBHOOK if delivery["verified"] else Source.UNVERIFIED_WEBHOOK,
        landed_at=delivery["received_at"],
        delivery_id=delivery["id"],
        event=event,
        versioned=registry.get(delivery["provider"]).versioned,
    )
    payload = inbox.read(delivery["content_type"], delivery["query"], delivery["body"])
    return observe([payload], lambda raw: mapper.map_delivery(raw, event, context), door, _rules(delivery))


def _rules(row: Mapping[Any, Any]) -> str:
    """Which calls the account leaves out."""
    rules: str = row["settings"].get("exclude") or ""
    return rules
