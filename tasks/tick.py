"""Beat's only task."""

from __future__ import annotations

from calltrack.config import settings
from calltrack.db import audit
from calltrack.seldom import Seldom
from calltrack.sync import arrivals, rejected, retention, schedule, spool, sweep
from calltrack.sync.hints import Hint, Step
from calltrack.sync.ledger import buckets
from tasks.app import app
from tasks.hints import send
from tasks.retention import remove_old

#: how often it is looked for what is old
_HOUSEKEEPING = Seldom(600.0)
_AHEAD = Seldom(60.0)


@app.task(name="calltrack.tick")
def tick() -> None:
    """Queue the syncs that are due, begin those whose turn it is, sweep up what got stuck, and watch for silence."""
    schedule.queue_due()
    retry = rejected.retry_outdated()
    send([*schedule.begin_queued(), *buckets.begin_due(), *sweep.sweep(), *retry])
    audit.tell_head()
    arrivals.watch()
    for provider in spool.drain_here():
        send([Hint(Step.DELIVERIES, provider)])
    if _AHEAD.due("partitions"):
        retention.look_ahead(settings().retention)
    if settings().retention and _HOUSEKEEPING.due("retention"):
        remove_old.apply_async()
