"""The sweeper finds rows that wait without anybody looking at them, and hints at them again.

Recovery from a flushed broker, a killed worker or a lost message is nothing else than this.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from calltrack.db.session import engine
from calltrack.patience import patience
from calltrack.sync import operations, runs
from calltrack.sync.hints import Hint, Step

#: how long a hint may be on its way before it is taken for lost
PATIENCE = timedelta(seconds=patience(60))
#: how long an operation may stand still
OPERATION_PATIENCE = timedelta(seconds=patience(15))
#: hints sent in one sweep: the next one goes on
MOST = 500

_PENDING = text("""
UPDATE sync_pages SET hinted_at = now() WHERE id IN (
    SELECT page.id FROM sync_pages page
    JOIN sync_runs run ON run.id = page.run_id JOIN provider_configs account ON account.id = page.account_id
    WHERE page.state = 'pending' AND page.next_attempt_at <= now() AND page.hinted_at < now() - :patience
      AND (page.leased_until IS NULL OR page.leased_until < now())
      AND run.state = 'running' AND account.is_active
      AND (account.blocked_until IS NULL OR account.blocked_until < now())
    ORDER BY page.hinted_at LIMIT :most FOR UPDATE OF page SKIP LOCKED)
RETURNING id, provider, number, run_id, state
""")
#: Where a run stands still, the first pages in its line: whoever stores them goes on with those behind. A page that
#: failed to be stored has a time of its own.
_FETCHED = text("""
UPDATE sync_pages SET hinted_at = now() WHERE id IN (
    SELECT page.id FROM sync_runs run CROSS JOIN LATERAL (
        SELECT id, hinted_at, reason FROM sync_pages
        WHERE run_id = run.id AND state = 'fetched' AND next_attempt_at <= now()
        ORDER BY fetched_at LIMIT :most FOR UPDATE SKIP LOCKED) page
    WHERE run.id IN (SELECT run_id FROM sync_pages WHERE state = 'fetched') AND page.hinted_at < now() - :patience
      AND (run.progressed_at < now() - :patience OR page.reason IS NOT NULL))
RETURNING id, provider, number, run_id, state
""")
_SETTLED = text("""
SELECT id FROM sync_runs run WHERE state = 'running' AND progressed_at < now() - interval '5 seconds'
  AND NOT EXISTS (SELECT FROM sync_pages WHERE run_id = run.id AND state <> 'stored')
""")
_WAITING = text("""
SELECT DISTINCT provider FROM webhook_logs
WHERE state = 'received' AND next_attempt_at < now() - interval '2 seconds'
""")


def sweep(after: timedelta = PATIENCE) -> list[Hint]:
    """Complete what only lacks the word, and return hints for pages and deliveries that nobody looks at."""
    with engine().begin() as connection:
        settled = connection.execute(_SETTLED).scalars().all()
        asked = [hint for run_id in settled for hint in runs.finish(connection, run_id)[1]]
    with engine().begin() as connection:
        pending = connection.execute(_PENDING, {"patience": after, "most": MOST}).mappings().all()
        fetched = connection.execute(_FETCHED, {"patience": after, "most": runs.ABREAST}).mappings().all()
        waiting = connection.execute(_WAITING).scalars().all()
        forgotten = operations.forgotten(connection, min(after, OPERATION_PATIENCE))
    return [
        *asked,
        *(runs.unstored(page) for page in (*pending, *fetched)),
        *(Hint(Step.DELIVERIES, name) for name in waiting),
        *forgotten,
    ]
