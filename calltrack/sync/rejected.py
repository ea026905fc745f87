"""Trying rejected records again, with today's mapper: on request, and by itself when a mapper's version has risen.

What becomes a call is resolved. What is rejected again stays, with today's reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, RowMapping, text

from calltrack import registry
from calltrack.db import audit, upsert
from calltrack.db.session import driver, engine
from calltrack.errors import NotACall
from calltrack.mapping import Context
from calltrack.model import Source, call_id
from calltrack.sync import operations, rejects
from calltrack.sync.hints import Hint
from calltrack.sync.ingest import Outcome, ingest
from calltrack.sync.observe import Door, Sight, observe
from calltrack.sync.operations import Advance, Operation
from calltrack.sync.reading import readings

#: records in one step
CHUNK = 200

_MEANT = """
    rejected.resolved_at IS NULL
    AND (CAST(:account_id AS uuid) IS NULL OR rejected.account_id = :account_id)
    AND (CAST(:provider AS text) IS NULL OR rejected.provider = :provider)
    AND (CAST(:record AS bigint) IS NULL OR rejected.id = :record)
    AND (CAST(:reason AS text) IS NULL OR rejected.reason = :reason)
"""
_COUNT = text(
    f"SELECT count(*) AS records, max(rejected.id) AS newest FROM rejected_records rejected WHERE {_MEANT}"  # noqa: S608
)
_CHUNK = text(f"""
SELECT rejected.*, account.settings, account.mode AS account_mode, account.shadow_mapper, page.fetched_at,
    delivery.received_at, delivery.verified, delivery.event_type
FROM rejected_records rejected JOIN provider_configs account ON account.id = rejected.account_id
LEFT JOIN sync_pages page ON page.id = rejected.page_id
LEFT JOIN webhook_logs delivery ON delivery.id = rejected.delivery_id
WHERE rejected.id > :after AND rejected.id <= :newest AND {_MEANT}
ORDER BY rejected.id LIMIT :most FOR UPDATE OF rejected FOR KEY SHARE OF account
""")  # noqa: S608 - our own words
_RESOLVED = text("UPDATE rejected_records SET resolved_at = now() WHERE id = ANY(:ids)")
_PROCESSED = text("""
UPDATE webhook_logs SET state = 'processed', reason = NULL, call_id = :call_id, processed_at = clock_timestamp()
WHERE id = :delivery_id
""")
#: of a mapper that reads differently today, and nobody is at it
_OUTDATED = text("""
SELECT today.provider FROM unnest(CAST(:providers AS text[]), CAST(:versions AS int[])) AS today(provider, version)
WHERE EXISTS (SELECT FROM rejected_records
    WHERE resolved_at IS NULL AND provider = today.provider AND mapper_version < today.version)
""")
_BUSY = text("SELECT 1 FROM operations WHERE kind = 'rejects' AND state = 'running' LIMIT 1")


def arguments(
    *,
    account_id: UUID | None = None,
    provider: str | None = None,
    record: int | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Which records are meant: all conditions that are given must hold."""
    account = str(account_id) if account_id else None
    return {"account_id": account, "provider": provider, "record": record, "reason": reason}


def count(connection: Connection, meant: Mapping[str, Any]) -> int:
    """How many records a retry with these arguments would take."""
    return int(connection.execute(_COUNT, meant).mappings().one()["records"])


def begin(connection: Connection, meant: Mapping[str, Any]) -> int:
    """A retry of the records that are rejected now. Returns the operation."""
    found = connection.execute(_COUNT, meant).mappings().one()
    account_id = UUID(meant["account_id"]) if meant["account_id"] else None
    asked = {**meant, "newest": found["newest"] or 0}
    operation = operations.begin(connection, "rejects", account_id, asked, found["records"])
    given = {name: value for name, value in meant.items() if value is not None}
    audit.record(connection, "rejects.retried", f"operation {operation}", records=found["records"], **given)
    return operation


def retry_outdated() -> list[Hint]:
    """Begin to retry what an older version of a mapper rejected, unless a retry is under way."""
    versions = {name: registry.get(name).mapper_version for name in registry.names()}
    with engine().begin() as connection:
        if connection.execute(_BUSY).first():
            return []
        wanted = {"providers": list(versions), "versions": list(versions.values())}
        outdated = connection.execute(_OUTDATED, wanted).scalars().all()
        begun = [begin(connection, arguments(provider=name)) for name in outdated]
    return [operations.hint(operation, "rejects") for operation in begun]


def step(connection: Connection, operation: Operation) -> Advance:
    """Try the next records."""
    after = operation.position.get("after", 0)
    rows = connection.execute(_CHUNK, {**operation.arguments, "after": after, "most": CHUNK}).mappings().all()
    seen = [(row, _observed(row)) for row in rows]
    with driver(connection).cursor() as cursor:
        outcome = Outcome()
        for target in (upsert.CALLS, upsert.SHADOW):
            told = [one for row, sight in seen if readings(row)[0].target is target for one in sight.observations]
            outcome += ingest(cursor, told, thorough=True, target=target)
        refused = {id(one): reason for one, reason in outcome.refused}
        again = [rejects.of(one, reason) for one, reason in outcome.refused]
        rejects.keep(cursor, [*(reject for _, sight in seen for reject in sight.rejects), *again])
    stored = [(row, one) for row, sight in seen for one in sight.observations if id(one) not in refused]
    for row, one in stored:
        if row["delivery_id"]:
            key = call_id(one.account_id, one.record.external_id)
            connection.execute(_PROCESSED, {"delivery_id": row["delivery_id"], "call_id": key})
    excluded = [row["id"] for row, sight in seen if sight.excluded]
    replaced = [row["id"] for row, sight in seen if any(reject.digest != row["digest"] for reject in sight.rejects)]
    connection.execute(_RESOLVED, {"ids": [*(row["id"] for row, _ in stored), *excluded, *replaced]})
    counts = {
        "resolved": len(stored),
        "rejected": len(rows) - len(stored) - len(excluded),
        "calls_inserted": outcome.inserted,
        "calls_updated": outcome.updated,
    }
    return Advance({"after": rows[-1]["id"]} if len(rows) == CHUNK else None, len(rows), counts)


def _observed(row: RowMapping) -> Sight:
    """What today's mapper makes of the record."""
    mapper, context = readings(row)[0].mapper, Context(row["settings"])
    door, event, raw = _door(row, mapper.version), row["event_type"] or "", orjson.loads(row["raw"])
    rules = row["settings"].get("exclude") or ""
    try:
        if row["page_id"]:
            return observe([raw], lambda one: mapper.map_call(one, context), door, rules)
        return observe([raw], lambda one: mapper.map_delivery(one, event, context), door, rules)
    except NotACall:
        return Sight()


def _door(row: RowMapping, version: int) -> Door:
    """The door through which the record came, as it was then."""
    if row["page_id"]:
        source = Source.API_RECORD
    else:
        source = Source.VERIFIED_WEBHOOK if row["verified"] else Source.UNVERIFIED_WEBHOOK
    return Door(
        account_id=row["account_id"],
        provider=row["provider"],
        mapper_version=version,
        source=source,
        landed_at=row["fetched_at"] or row["received_at"] or row["created_at"],
        page_id=row["page_id"],
        delivery_id=row["delivery_id"],
        event="" if row["page_id"] else row["event_type"] or "",
    )
