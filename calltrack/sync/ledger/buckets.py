"""Which stretches of time are checked, and when.

The newest bucket of an account is checked every `reconcile_every`. A closed one is checked again on a ladder that
widens, because providers publish late and change calls late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from calltrack.db import accounts, audit
from calltrack.db.session import engine
from calltrack.errors import FixConfiguration
from calltrack.sync import runs
from calltrack.sync.hints import Hint
from calltrack.sync.plan import Mode

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: ranges longer than this are cut into days, others into hours
LONG = 2 * DAY
#: how far beyond its edges a bucket is listed: a call's time here may differ a little from the one it is listed by
MARGIN = timedelta(minutes=5)
#: checks begun in one go
MOST = 10

_MAKE = text("""
INSERT INTO ledger_buckets (account_id, provider, since, until) VALUES (:account_id, :provider, :since, :until)
ON CONFLICT (account_id, since, until) DO UPDATE SET provider = excluded.provider RETURNING id
""")
_RECONCILED = text("""
SELECT account.id, account.provider_type AS provider, now() AS now FROM provider_configs account
JOIN sync_status status ON status.account_id = account.id
WHERE account.is_active AND account.mode = 'live' AND status.synced_until IS NOT NULL
  AND account.reconcile_every > interval '0'
  AND (account.next_reconcile_at IS NULL OR account.next_reconcile_at <= now())
FOR NO KEY UPDATE OF account SKIP LOCKED
""")
_MODE = text("SELECT mode FROM provider_configs WHERE id = :id")
_NEXT = text("UPDATE provider_configs SET next_reconcile_at = now() + reconcile_every WHERE id = :id")
_DUE_NOW = text("UPDATE ledger_buckets SET next_check_at = now() WHERE id = :id AND run_id IS NULL")
_DUE = text("""
SELECT bucket.id FROM ledger_buckets bucket JOIN provider_configs account ON account.id = bucket.account_id
WHERE bucket.next_check_at <= now() AND bucket.run_id IS NULL AND account.is_active
  AND account.mode = 'live'
ORDER BY bucket.next_check_at LIMIT :most FOR UPDATE OF bucket SKIP LOCKED
""")
_TAKE = text("SELECT *, now() AS now FROM ledger_buckets WHERE id = :id FOR UPDATE")
_CHECKING = text("""
UPDATE ledger_buckets SET run_id = :run_id, repair = :repair, next_check_at = NULL, reason = NULL WHERE id = :id
""")


def cut(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The range in buckets, oldest first, at whole hours, or days where it is long."""
    width = DAY if until - since > LONG else HOUR
    while since < until:
        edge = min(_floor(since, width) + width, until)
        yield since, edge
        since = edge


def _floor(moment: datetime, width: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // width * width


def make(connection: Connection, account_id: UUID, provider: str, since: datetime, until: datetime) -> list[int]:
    """The buckets of a range, made where they are missing."""
    bucket = {"account_id": account_id, "provider": provider}
    return [
        connection.execute(_MAKE, {**bucket, "since": first, "until": last}).scalar_one()
        for first, last in cut(since, until)
    ]


def begin_check(connection: Connection, bucket_id: int, *, repair: bool = True) -> list[Hint]:
    """Begin to check a bucket, unless that is under way. Returns the hints for the check's pages."""
    bucket = connection.execute(_TAKE, {"id": bucket_id}).mappings().one()
    if bucket["run_id"] is not None:
        return []
    until = min(bucket["until"] + MARGIN, bucket["now"])
    run_id = runs.queue(
        connection, bucket["account_id"], bucket["provider"], Mode.CHECK, bucket["since"] - MARGIN, until
    )
    connection.execute(_CHECKING, {"id": bucket_id, "run_id": run_id, "repair": repair})
    return runs.begin(connection, run_id)


def reconcile(
    provider: str, account: str | None, since: datetime | None, until: datetime | None, *, repair: bool
) -> tuple[list[int], list[Hint]]:
    """Begin to check every bucket of a range, up to now by default. Returns the buckets, and hints for the pages.

    Raises `FixConfiguration` for an empty range, and for a repair of an account whose calls must not be written.
    """
    with engine().begin() as connection:
        account_id = accounts.find_id(connection, provider, account)
        label, now = accounts.label(connection, account_id), datetime.now(UTC)
        until = until or now
        if since is None or since >= until:
            raise FixConfiguration("The range is empty: --since must lie before --until.")
        if repair and connection.execute(_MODE, {"id": account_id}).scalar() != "live":
            raise FixConfiguration(f"{label} is in shadow mode, and its calls are not written: leave out --repair.")
        wanted = make(connection, account_id, provider, since, until)
        audit.record(connection, "reconciled", label, since=since, until=until, repair=repair, buckets=len(wanted))
    hints = []
    for bucket in wanted:
        with engine().begin() as connection:
            hints += begin_check(connection, bucket, repair=repair)
    return wanted, hints


def under_way(connection: Connection, bucket_ids: Sequence[int]) -> list[int]:
    """The runs that check these buckets now."""
    query = text("SELECT run_id FROM ledger_buckets WHERE id = ANY(:ids) AND run_id IS NOT NULL ORDER BY run_id")
    return list(connection.execute(query, {"ids": list(bucket_ids)}).scalars())


def begin_due() -> list[Hint]:
    """Begin the checks that are due. The newest bucket of each account is made where it is missing."""
    with engine().begin() as connection:
        for account in connection.execute(_RECONCILED).mappings().all():
            _open_newest(connection, account)
    with engine().begin() as connection:
        due: Sequence[int] = connection.execute(_DUE, {"most": MOST}).scalars().all()
        return [hint for bucket_id in due for hint in begin_check(connection, bucket_id)]


def _open_newest(connection: Connection, account: RowMapping) -> None:
    since = _floor(account["now"], HOUR)
    bucket = {"account_id": account["id"], "provider": account["provider"], "since": since, "until": since + HOUR}
    connection.execute(_DUE_NOW, {"id": connection.execute(_MAKE, bucket).scalar_one()})
    connection.execute(_NEXT, {"id": account["id"]})
