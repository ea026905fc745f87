"""The end of a check: every id of the bucket in exactly one state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from calltrack.config import settings
from calltrack.patience import patience
from calltrack.sync import alerts
from calltrack.sync.ledger.belonging import belongs

#: a call that only we know, and that began so short a time ago, may not be on the provider's list yet
YOUNG = timedelta(hours=1)
#: until a check that failed is tried again
AGAIN = timedelta(seconds=patience(300))

_BUCKET = text("SELECT *, now() AS now FROM ledger_buckets WHERE run_id = :run_id FOR UPDATE")
#: what has no time of its own counts in the first bucket that it was listed for: buckets are listed beyond their edges
_SIGHTINGS = text("""
SELECT * FROM ledger_sightings seen WHERE bucket_id = :id AND (seen.started_at IS NOT NULL OR NOT EXISTS (
    SELECT FROM ledger_ids other JOIN ledger_buckets bucket ON bucket.id = other.bucket_id
    WHERE other.external_id = seen.external_id AND other.bucket_id <> :id AND bucket.account_id = :account_id
      AND bucket.since <= CAST(:until AS timestamptz) AND bucket.until >= CAST(:since AS timestamptz)))
""")
_HERE = text("""
SELECT external_id, started_at FROM calls
WHERE account_id = :account_id AND started_at >= :since AND started_at < :until
""")
_LANDED = text("""
SELECT EXISTS (SELECT FROM webhook_logs WHERE account_id = :account_id AND state = 'received'
    AND position(convert_to(:external_id, 'UTF8') IN body) > 0)
""")
_FORGET = text("DELETE FROM ledger_ids WHERE bucket_id = :id")
_NOTE = text("""
INSERT INTO ledger_ids (bucket_id, external_id, state, reason, fields, repaired)
VALUES (:bucket_id, :external_id, :state, :reason, :fields, :repaired)
""")
_SETTLED = text("""
UPDATE ledger_buckets SET run_id = NULL, checks = checks + 1, checked_at = now(), next_check_at = :next, reason = NULL,
    reported = :reported, stored = :stored, rejected = :rejected, excluded = :excluded, pending = :pending,
    gone = :gone, mismatched = :mismatched, unexplained = :unexplained, repaired = repaired + :repaired,
    ids_digest = :digest
WHERE id = :id
""")
_FAILED = text("""
UPDATE ledger_buckets SET run_id = NULL, reason = :reason, next_check_at = now() + :again WHERE run_id = :run_id
RETURNING id
""")
_INCOMPLETE = text("""
SELECT coalesce(sum(unexplained + mismatched), 0) AS ids, count(*) AS buckets FROM ledger_buckets
WHERE account_id = :account_id AND repair AND unexplained + mismatched > 0
""")
_CLEAR = text("DELETE FROM ledger_sightings WHERE bucket_id = :id")

#: why an id is counted that the list of its bucket does not have
ASKED = "not on the provider's list, but there when asked for"
GONE = "the provider does not have it any more"
NOT_YET, NO_MORE = "not on the provider's list yet", "not on the provider's list any more"
NOT_LISTED = (NOT_YET, NO_MORE, GONE)

STATES = ("stored", "rejected", "excluded", "pending", "gone", "mismatched", "unexplained")


@dataclass(frozen=True)
class Id:
    """One id of a bucket, and the state it is in."""

    external_id: str
    state: str
    reason: str | None = None
    fields: list[str] | None = None
    #: it was found missing or different, and is not any more
    repaired: bool = False


def settle(connection: Connection, run: Mapping[Any, Any]) -> None:
    """Close the check whose run has just ended, one way or the other."""
    if run["state"] != "completed":
        failed = connection.execute(_FAILED, {"run_id": run["id"], "reason": run["error"], "again": AGAIN}).scalar()
        connection.execute(_CLEAR, {"id": failed})
        return
    bucket = connection.execute(_BUCKET, {"run_id": run["id"]}).mappings().one_or_none()
    if bucket is not None:
        _close(connection, bucket, list(_states(connection, bucket)), _next_check(bucket["until"], bucket["now"]))


def _next_check(until: datetime, now: datetime) -> datetime | None:
    """None: the bucket has been checked for the last time."""
    return next((at for step in settings().recheck_after if (at := until + step) > now), None)


def _states(connection: Connection, bucket: RowMapping) -> Iterable[Id]:
    """Every id that the provider reports in this bucket, and those that only we have, each in one state."""
    sightings = connection.execute(_SIGHTINGS, dict(bucket)).mappings().all()
    for seen in sightings:
        if seen["reason"] in (ASKED, GONE) or belongs(seen["started_at"], bucket["since"], bucket["until"]):
            yield _state(connection, bucket, seen)
    listed = {seen["external_id"] for seen in sightings}
    for row in connection.execute(_HERE, dict(bucket)).mappings():
        if row["external_id"] not in listed:
            yield _unlisted(row, bucket["now"])


def _state(connection: Connection, bucket: RowMapping, seen: RowMapping) -> Id:
    name, state, fields = seen["external_id"], seen["state"], seen["fields"]
    if state in ("stored", "rejected", "excluded", "gone"):
        return Id(name, state, seen["reason"])
    if seen["repaired"]:
        return Id(name, "stored", state, fields, repaired=True)
    if state == "mismatched":
        return Id(name, state, None, fields)
    if connection.execute(_LANDED, {"account_id": bucket["account_id"], "external_id": name}).scalar():
        return Id(name, "pending", "a delivery about it waits to be processed")
    return Id(name, "unexplained", "missing")


def _unlisted(row: RowMapping, now: datetime) -> Id:
    if row["started_at"] > now - YOUNG:
        return Id(row["external_id"], "pending", NOT_YET)
    return Id(row["external_id"], "gone", NO_MORE)


def _close(connection: Connection, bucket: RowMapping, ids: list[Id], next_check: datetime | None) -> None:
    counts = Counter(one.state for one in ids)
    only_here = {one.external_id for one in ids if one.reason in NOT_LISTED}
    reported = sorted(one.external_id for one in ids if one.external_id not in only_here)
    connection.execute(_FORGET, {"id": bucket["id"]})
    worth_noting = [one for one in ids if one.state != "stored" or one.repaired]
    if worth_noting:
        connection.execute(_NOTE, [{"bucket_id": bucket["id"], **vars(one)} for one in worth_noting])
    connection.execute(
        _SETTLED,
        {
            "id": bucket["id"],
            "next": next_check,
            "reported": len(reported),
            "repaired": sum(one.repaired for one in ids),
            "digest": blake2b("\n".join(reported).encode(), digest_size=16).digest(),
            **{state: counts[state] for state in STATES},
        },
    )
    connection.execute(_CLEAR, {"id": bucket["id"]})
    _tell(connection, bucket)


def _tell(connection: Connection, bucket: RowMapping) -> None:
    """Raise an alert while a bucket of the account, checked with repair, holds what nothing explains."""
    account_id = bucket["account_id"]
    found = connection.execute(_INCOMPLETE, {"account_id": account_id}).mappings().one()
    if found["ids"]:
        message = (
            f"{found['ids']} calls of {found['buckets']} hours or days are not as the provider has them, and could not "
            "be repaired: see `calltrack reconcile PROVIDER --show`."
        )
        alerts.open(connection, account_id, alerts.INCOMPLETE, message)
    else:
        alerts.close(connection, account_id, alerts.INCOMPLETE)
