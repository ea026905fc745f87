"""What beat's tick does: queue the syncs that are due, and begin those that wait for their turn.

The due-list is in Postgres and each row is taken under a lock, so two beats do no harm.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from calltrack.accounts import next_daily
from calltrack.db.session import engine
from calltrack.sync import runs
from calltrack.sync.hints import Hint
from calltrack.sync.plan import Mode

_DUE = text("""
SELECT *, now() AS now FROM provider_configs
WHERE is_active AND (next_full_at <= now() OR next_incremental_at <= now()) FOR NO KEY UPDATE SKIP LOCKED
""")
_NEXT = text("UPDATE provider_configs SET next_full_at = :full, next_incremental_at = :incremental WHERE id = :id")
_OPEN = text("SELECT id FROM sync_runs WHERE account_id = :id AND mode = :mode AND state IN ('queued', 'running')")


def queue_due() -> list[int]:
    """Queue a run for every account whose time has come, and set its next time. Returns the runs."""
    with engine().begin() as connection:
        queued = []
        for account in connection.execute(_DUE).mappings().all():
            queued += [run for mode in _due_modes(account) if (run := _queue(connection, account, mode))]
            connection.execute(_NEXT, {"id": account["id"], **_next_times(account)})
        return queued


def _due_modes(account: RowMapping) -> list[Mode]:
    """A full sync covers what an incremental one would."""
    for mode, at in ((Mode.FULL, account["next_full_at"]), (Mode.INCREMENTAL, account["next_incremental_at"])):
        if at is not None and at <= account["now"]:
            return [mode]
    return []


def _queue(connection: Connection, account: RowMapping, mode: Mode) -> int | None:
    """Queue the run, unless the last one of its kind is still open."""
    if connection.execute(_OPEN, {"id": account["id"], "mode": mode.value}).first():
        return None
    return runs.queue(connection, account["id"], account["provider_type"], mode)


def _next_times(account: RowMapping) -> dict[str, datetime | None]:
    full, incremental, now = account["next_full_at"], account["next_incremental_at"], account["now"]
    if full is not None and full <= now:
        full = next_daily(account["full_sync_at"], now)
    if incremental is not None and incremental <= now:
        incremental = now + account["incremental_every"]
    return {"full": full, "incremental": incremental}


def begin_queued(account_id: UUID | None = None) -> list[Hint]:
    """Begin the queued runs, of one account or of all, whose range nobody reads. Returns the hints for their pages."""
    with engine().connect() as connection:
        waiting = runs.startable(connection, account_id)
    hints: list[Hint] = []
    for run_id in waiting:
        with engine().begin() as connection:
            hints += runs.begin(connection, run_id)
    return hints
