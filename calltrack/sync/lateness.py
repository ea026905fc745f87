"""How late calls become visible, and change, at an account; and how far back an incremental sync must reach for that.

A call is late when a page shows it, or a change of it, at a time (of its creation, or of its change, as the provider
lists) that a completed sync had read already. What is seen at the first reading of its time is not late, however
seldom we read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import Connection, text

from calltrack.model import CallRecord
from calltrack.sync.ingest import News

#: the share of an account's calls that may be later than an incremental sync reaches back
TOLERATED = 0.001
#: calls that must have been seen before what was measured is believed
ENOUGH = 1000
FLOOR, LONGEST = timedelta(hours=1), timedelta(days=7)
#: events after which older ones count half
HALF_LIFE = 200_000

_NOTE = """
INSERT INTO call_lateness AS known (account_id, kind, seconds, calls) VALUES (%s, %s, %s, %s)
ON CONFLICT (account_id, kind, seconds) DO UPDATE SET calls = known.calls + excluded.calls
"""
_FADE = text("""
UPDATE call_lateness SET calls = calls / 2
WHERE account_id = :id AND (SELECT sum(calls) FROM call_lateness WHERE account_id = :id) > :most
""")
_MEASURED = text("""
SELECT kind, seconds, calls FROM call_lateness WHERE account_id = :id AND calls > 0 ORDER BY seconds DESC
""")


def note(
    cursor: Cursor[Any],
    account_id: UUID,
    news: Iterable[News],
    *,
    landed_at: datetime,
    synced_until: datetime,
    by_change: bool,
) -> None:
    """Note how late the news of a page are. `by_change`: the provider lists calls by the time of their change."""
    seen: Counter[tuple[str, int]] = Counter()
    for one in news:
        at = _listed_by(one.observation.record, by_change=by_change)
        if at is not None:
            late = (landed_at - at).total_seconds() if at <= synced_until else 0.0
            seen["visible" if one.first else "changed", _rounded(late)] += 1
    if seen:
        rows = [(account_id, kind, seconds, calls) for (kind, seconds), calls in sorted(seen.items())]
        cursor.executemany(_NOTE, rows)


def _listed_by(record: CallRecord, *, by_change: bool) -> datetime | None:
    return record.provider_updated_at if by_change else record.started_at


def _rounded(seconds: float) -> int:
    """Up to the next power of two."""
    return 1 << (int(seconds) - 1).bit_length() if seconds >= 1 else 0


def fade(connection: Connection, account_id: UUID) -> None:
    """Let what was measured long ago weigh less. The caller commits."""
    connection.execute(_FADE, {"id": account_id, "most": HALF_LIFE})


def overlap(connection: Connection, account_id: UUID, usual: timedelta) -> timedelta:
    """How far an incremental sync reaches back behind the last one: 1 h to 7 days; `usual` until enough was measured.

    As far as that of a thousand calls at most one becomes visible, or changes, later than that.
    """
    measured = connection.execute(_MEASURED, {"id": account_id}).all()
    calls = sum(row.calls for row in measured if row.kind == "visible")
    if calls < ENOUGH:
        return usual
    later = 0
    for row in measured:
        later += row.calls
        if later > calls * TOLERATED:
            return min(max(timedelta(seconds=row.seconds), FLOOR), LONGEST)
    return FLOOR
