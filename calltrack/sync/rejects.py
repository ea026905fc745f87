"""Records that cannot become calls, as they came, with the reason. The same one again is counted, not kept twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from psycopg import Cursor

from calltrack.model import Observation
from calltrack.sync.observe import Door, Reject

_KEEP = """
INSERT INTO rejected_records AS kept
    (account_id, provider, reason, detail, raw, digest, mapper_version, page_id, delivery_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (account_id, digest) DO UPDATE SET repeats = kept.repeats + 1, last_seen_at = now(), resolved_at = NULL,
    page_id = CASE WHEN kept.resolved_at IS NULL THEN kept.page_id ELSE excluded.page_id END,
    delivery_id = CASE WHEN kept.resolved_at IS NULL THEN kept.delivery_id ELSE excluded.delivery_id END
"""


def keep(cursor: Cursor[Any], rejects: Iterable[Reject]) -> None:
    """Write the rejects, in the order of their keys."""
    rows = [
        (
            reject.door.account_id,
            reject.door.provider,
            reject.reason,
            reject.detail,
            reject.raw,
            reject.digest,
            reject.door.mapper_version,
            reject.door.page_id,
            reject.door.delivery_id,
        )
        for reject in sorted(rejects, key=lambda reject: (reject.door.account_id, reject.digest))
    ]
    if rows:
        cursor.executemany(_KEEP, rows)


def of(observation: Observation, reason: str) -> Reject:
    """The reject for an observation that Postgres would not take."""
    door = Door(
        account_id=observation.account_id,
        provider=observation.provider,
        mapper_version=observation.mapper_version,
        source=observation.source,
        landed_at=observation.landed_at,
        page_id=observation.page_id,
        delivery_id=observation.delivery_id,
    )
    raw = orjson.dumps(observation.record.raw)
    return Reject(door, raw, observation.digest, "not_storable", f"Postgres refused it: {reason}.")
