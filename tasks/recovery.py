"""Recovering: replay deliveries, try rejected records again, fetch what webhooks missed."""

from __future__ import annotations

import time

from calltrack.db import accounts
from calltrack.db.session import engine
from calltrack.mapping.times import moment
from calltrack.sync import operations, rejected, remap, replay, runs
from calltrack.sync.ledger import buckets
from calltrack.sync.plan import Mode
from tasks.app import app
from tasks.hints import send

#: seconds that one message may keep a worker at an operation
GOING_ON = 5.0


@app.task(name="calltrack.replay_webhooks", ignore_result=False)
def replay_webhooks(
    provider: str | None = None,
    since: str | None = None,
    until: str | None = None,
    state: str | None = None,
    delivery: int | None = None,
) -> int:
    """Replay landed deliveries, and return the operation's number. Times are ISO 8601, of receipt."""
    meant = replay.arguments(
        provider=provider, since=moment(since), until=moment(until), state=state, delivery=delivery
    )
    with engine().begin() as connection:
        operation = replay.begin(connection, meant)
    send([operations.hint(operation, "replay")])
    return operation


@app.task(name="calltrack.retry_rejects", ignore_result=False)
def retry_rejects(provider: str | None = None, reason: str | None = None, record: int | None = None) -> int:
    """Try rejected records again, and return the operation's number."""
    with engine().begin() as connection:
        operation = rejected.begin(connection, rejected.arguments(provider=provider, reason=reason, record=record))
    send([operations.hint(operation, "rejects")])
    return operation


@app.task(name="calltrack.recover_missed_webhooks", ignore_result=False)
def recover_missed_webhooks(provider: str, since: str, until: str | None = None, account: str | None = None) -> int:
    """Fetch a range again to find what webhooks missed, and return the run. Times are ISO 8601."""
    run_id, hints = runs.start(provider, account, Mode.RECOVER, moment(since), moment(until))
    send(hints)
    return run_id


@app.task(name="calltrack.remap_account", ignore_result=False)
def remap_account(provider: str, account: str | None = None, since: str | None = None, apply: bool = False) -> int:
    """Map anew what was landed (since an ISO 8601 time), and return the operation's number.

    Without `apply` it is only compared: `calltrack operations show` says what would change.
    """
    with engine().begin() as connection:
        account_id = accounts.find_id(connection, provider, account)
        operation = remap.begin(connection, account_id, since=moment(since), apply=apply)
    send([operations.hint(operation, remap.KIND)])
    return operation


@app.task(name="calltrack.reconcile_account", ignore_result=False)
def reconcile_account(
    provider: str, since: str, until: str | None = None, account: str | None = None, repair: bool = False
) -> list[int]:
    """Check the ledger of a range (ISO 8601), and return its buckets. `calltrack reconcile --show` tells the rest."""
    bucket_ids, hints = buckets.reconcile(provider, account, moment(since), moment(until), repair=repair)
    send(hints)
    return bucket_ids


@app.task(name="calltrack.continue_operation")
def continue_operation(operation_id: int) -> None:
    """Go on with an operation for a while, and leave the rest to the next message."""
    ends = time.monotonic() + GOING_ON
    operation = operations.advance(operation_id)
    while operation is not None and operation.state == "running":
        if time.monotonic() > ends:
            send([operations.hint(operation.id, operation.kind)])
            return
        operation = operations.advance(operation_id)
