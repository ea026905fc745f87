"""Which calls are of a bucket: a little more than the bucket is listed for a check."""

from __future__ import annotations

from datetime import datetime


def belongs(started_at: datetime | None, since: datetime, until: datetime) -> bool:
    """Whether a call is of the bucket that it was listed for. One without a time of its own is."""
    return started_at is None or since <= started_at < until
