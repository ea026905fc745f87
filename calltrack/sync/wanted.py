"""Calls that a delivery told too little of: the provider is asked for each by its id, before other work.

Each is a page of its own in a run of mode "live", so that losing a message or a worker loses nothing here either. A
call that is still to be asked for is not asked for twice. Where so many wait that asking one by one would take longer
than reading the list, the account's next incremental sync is due at once instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Connection, text

from calltrack import registry
from calltrack.model import CallRecord, Finality
from calltrack.sync import runs
from calltrack.sync.hints import Hint
from calltrack.sync.plan import Mode
from calltrack.sync.reading import ONE

#: calls of an account that may wait to be asked for
MOST = 100

_WAITING = text("""
SELECT cursor ->> :one FROM sync_pages
WHERE account_id = :account_id AND state = 'pending' AND leased_until IS NULL AND cursor ? :one
""")
_RUN = text("""
INSERT INTO sync_runs (account_id, provider, mode, axis, state, since, until, started_at, progressed_at)
VALUES (:account_id, :provider, :mode, 'created', 'running', now(), now(), now(), now())
RETURNING id, account_id, provider, since, until
""")
_SYNC_NOW = text(
    "UPDATE provider_configs SET next_incremental_at = now() WHERE id = :id AND next_incremental_at > now()"
)


def wants(provider: str, settings: Mapping[str, str], record: CallRecord) -> bool:
    """Whether what this delivery told is to be completed by the API: once the call has ended, or where it changed."""
    declared = registry.get(provider)
    asks = settings.get("ask", "yes" if declared.webhook.asks else "no") == "yes"
    if record.complete or not asks or declared.calls(settings).one is None:
        return False
    return record.stage() in (Finality.ENDED, Finality.NOT_STATED)


def ask(connection: Connection, account_id: UUID, provider: str, external_ids: Collection[str]) -> list[Hint]:
    """Open a page for each of these calls that none is waiting for. Returns hints for them."""
    waiting = set(connection.execute(_WAITING, {"one": ONE, "account_id": account_id}).scalars())
    wanted = sorted(set(external_ids) - waiting)
    if len(waiting) + len(wanted) > MOST:
        connection.execute(_SYNC_NOW, {"id": account_id})
        return []
    if not wanted:
        return []
    live = {"account_id": account_id, "provider": provider, "mode": Mode.LIVE.value}
    run = connection.execute(_RUN, live).mappings().one()
    return runs.open_ones(connection, run, wanted)
