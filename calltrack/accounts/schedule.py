"""When an account's syncs are due."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from calltrack.db.accounts import Account


def next_daily(at: time, now: datetime) -> datetime:
    """The next moment after `now` (aware) when it is `at` o'clock in UTC."""
    today = datetime.combine(now.astimezone(UTC), at, tzinfo=UTC)
    return today if today > now else today + timedelta(days=1)


def next_syncs(account: Account, now: datetime) -> tuple[datetime, datetime]:
    """When the account's next full and next incremental sync are due, as of `now`: none is due at once."""
    return next_daily(account.full_sync_at, now), now + account.incremental_every
