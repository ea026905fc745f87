"""Pages that cannot be fetched now: put aside in their rows until they may be, or given up with the reason."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from calltrack import log
from calltrack.client.retry import Decision
from calltrack.db import accounts
from calltrack.db.session import engine
from calltrack.errors import CalltrackError, FixConfiguration
from calltrack.patience import patience
from calltrack.sync import runs
from calltrack.sync.hints import Step
from calltrack.sync.work import Fetched, Page, Work

#: waits up to this long are a message with a delay; longer ones are left to the row
LONGEST_DELAY = 60.0
#: and from this many seconds on the run says what it waits for
NOTEWORTHY = 5.0
#: a provider that fails at everything is asked again this often (seconds), for so long, before a run is stopped
OUTAGE_WAIT = patience(60)
LONGEST_OUTAGE = timedelta(hours=24)

logger = log.get(__name__)

_PARK = text("""
UPDATE sync_pages SET next_attempt_at = now() + :wait, hinted_at = now() + :hint, leased_until = NULL,
    failing_since = CASE WHEN :uncounted = 0 THEN coalesce(failing_since, now()) ELSE failing_since END,
    attempts = attempts - :uncounted, reason = :reason, error = :error
WHERE id = :page_id AND state = 'pending'
""")
#: what a run waits for is to be seen in its row; the next page that is stored clears it
_WAITS = text("UPDATE sync_runs SET reason = :reason, error = :error WHERE id = :run_id AND state = 'running'")
#: whether the provider fails at everything, and not just at this page, and does so not for ever
_OUTAGE = text("""
SELECT coalesce(failing_since, now()) > now() - :longest AND NOT EXISTS (
    SELECT FROM sync_pages other WHERE other.account_id = page.account_id AND other.fetched_at > page.failing_since)
FROM sync_pages page WHERE id = :page_id
""")
_BLOCK = text(
    "UPDATE provider_configs SET blocked_until = greatest(blocked_until, now() + :wait) WHERE id = :account_id"
)
_FAIL = text("""
UPDATE sync_pages SET state = 'failed', leased_until = NULL, reason = :reason, error = :error
WHERE id = :page_id AND state = 'pending'
""")


def outage(page: Page) -> bool:
    """Whether the provider has been failing at everything since it failed at this page, and not yet for too long."""
    with engine().connect() as connection:
        return bool(connection.execute(_OUTAGE, {"page_id": page["id"], "longest": LONGEST_OUTAGE}).scalar())


def park(work: Work, error: CalltrackError, decision: Decision) -> Fetched:
    """Put the page aside until it may work: in its row, and for short waits with a delayed hint beside it.

    A page that ran out of tries in an outage is parked as well: the run goes on by itself when the provider is back.
    """
    page, wait = work.page, decision.wait if decision.kind == "retry" else OUTAGE_WAIT
    delayed = wait if wait <= LONGEST_DELAY else 0.0
    parked = {
        "page_id": page["id"],
        "wait": timedelta(seconds=wait),
        "hint": timedelta(seconds=delayed),
        "uncounted": 0 if decision.counts else 1,
    }
    with engine().begin() as connection:
        connection.execute(_PARK, {**parked, "reason": error.reason, "error": error.message})
        if wait >= NOTEWORTHY:
            told = {"run_id": page["run_id"], "reason": error.reason, "error": f"Parked: {error.message}"}
            connection.execute(_WAITS, told)
        if wait > LONGEST_DELAY and not decision.counts:
            connection.execute(_BLOCK, {"wait": parked["wait"], "account_id": work.account.id})
    logger.info("page parked", reason=error.reason, wait=round(wait, 3), attempts=page["attempts"])
    if wait > LONGEST_DELAY:
        return Fetched()
    return Fetched(hints=(runs.page_hint(Step.FETCH, page, wait),))


def give_up(page: Page, error: CalltrackError) -> Fetched:
    """Stop the run with the reason. What a person must mend is noted with the account too."""
    with engine().begin() as connection:
        connection.execute(_FAIL, {"page_id": page["id"], "reason": error.reason, "error": error.message})
        runs.fail(connection, page["run_id"], error.reason, error.message)
        if isinstance(error, FixConfiguration):
            accounts.set_health(connection, page["account_id"], error.message)
    return Fetched()
