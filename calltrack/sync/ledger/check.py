"""Comparing a page of the provider's list with `calls`: what is missing, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Cursor

from calltrack.model import Observation, call_id
from calltrack.sync.ingest import Outcome, differences, ingest
from calltrack.sync.ledger.belonging import belongs
from calltrack.sync.ledger.settle import ASKED, GONE
from calltrack.sync.observe import Reject, Sight
from calltrack.sync.reading import ONE

_BUCKET = "SELECT id, repair, since, until FROM ledger_buckets WHERE run_id = %s FOR UPDATE"
#: what the first page said of a call stands: another one may show it again, after it was repaired
_SIGHTED = """
INSERT INTO ledger_sightings (bucket_id, external_id, state, reason, fields, repaired, started_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


def check(cursor: Cursor[Any], page: Mapping[Any, Any], sight: Sight) -> Outcome:
    """Note what the page showed for its bucket, and repair from it what is missing or different, where that is wanted.

    Returns what was done to `calls`.
    """
    bucket = cursor.execute(_BUCKET, [page["run_id"]]).fetchone()
    if bucket is None:  # the bucket is gone, with its account
        return Outcome(unchanged=len(sight.observations))
    bucket_id, repair, since, until = bucket
    asked_for = page["cursor"].get(ONE)
    differ = differences(cursor, sight.observations)
    # What was listed beyond the bucket's edges is for another bucket to repair, and to count.
    own = {
        id(one) for one in sight.observations if repair and (asked_for or belongs(one.record.started_at, since, until))
    }
    outcome = ingest(cursor, [one for one in sight.observations if id(one) in own], thorough=True)
    outcome += _untouched([one for one in sight.observations if id(one) not in own])
    refused = {id(one): reason for one, reason in outcome.refused}
    rows = [
        _sighting(bucket_id, one, differ, refused.get(id(one)), repair=id(one) in own)
        for one in sorted(sight.observations, key=lambda one: one.record.external_id)
    ]
    rows += [_unusable(bucket_id, reject) for reject in sight.rejects]
    rows += [_excluded(bucket_id, one, rule) for one, rule in sight.excluded]
    if asked_for:
        rows = [(*row[:3], row[3] or ASKED, *row[4:]) for row in rows] or [_gone(bucket_id, asked_for)]
    if rows:
        cursor.executemany(_SIGHTED, rows)
    return outcome


def _excluded(bucket_id: int, one: Observation, rule: str) -> tuple[Any, ...]:
    record = one.record
    return bucket_id, record.external_id, "excluded", rule, None, False, record.started_at


def _gone(bucket_id: int, external_id: str) -> tuple[Any, ...]:
    return bucket_id, external_id, "gone", GONE, None, False, None


def _untouched(observations: Sequence[Observation]) -> Outcome:
    known = {call_id(one.account_id, one.record.external_id) for one in observations}
    return Outcome(unchanged=len(known), duplicates=len(observations) - len(known))


def _sighting(
    bucket_id: int, one: Observation, differ: dict[Any, list[str] | None], refused: str | None, *, repair: bool
) -> tuple[Any, ...]:
    record = one.record
    fields = differ[call_id(one.account_id, record.external_id)]
    state = "missing" if fields is None else "mismatched" if fields else "stored"
    mended = repair and state != "stored"
    reason = None
    if refused is not None:
        state, reason, mended, fields = "rejected", f"not_storable: {refused}", False, None
    return bucket_id, record.external_id, state, reason, fields or None, mended, record.started_at


def _unusable(bucket_id: int, reject: Reject) -> tuple[Any, ...]:
    """A record that cannot become a call has no id that could be trusted: it goes by its digest."""
    return (
        bucket_id,
        f"record {reject.digest.hex()}",
        "rejected",
        f"{reject.reason}: {reject.detail}",
        None,
        False,
        None,
    )
