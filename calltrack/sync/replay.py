"""Replaying deliveries that were landed: they go through the funnel again, thoroughly, with today's mapper.

A replay is an operation: it has a number of its own, which stands with each delivery it took (`operation_id`), and no
cap. Deliveries keep the moment they were received at, so replaying one changes nothing that was right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import OperationalError

from calltrack import log
from calltrack.db import audit
from calltrack.errors import FixConfiguration
from calltrack.sync import operations
from calltrack.sync.deliveries import settle
from calltrack.sync.operations import Advance, Operation

#: deliveries in one step
CHUNK = 300
STATES = ("received", "processed", "rejected", "ignored", "failed")

logger = log.get(__name__)

_MEANT = """
    (CAST(:account_id AS uuid) IS NULL OR delivery.account_id = :account_id)
    AND (CAST(:provider AS text) IS NULL OR delivery.provider = :provider)
    AND (CAST(:delivery AS bigint) IS NULL OR delivery.id = :delivery)
    AND (CAST(:state AS text) IS NULL OR delivery.state = :state)
    AND (CAST(:since AS timestamptz) IS NULL OR delivery.received_at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR delivery.received_at < :until)
"""
_COUNT = text(
    f"SELECT count(*) AS deliveries, max(delivery.id) AS newest FROM webhook_logs delivery WHERE {_MEANT}"  # noqa: S608
)
_CHUNK = text(f"""
SELECT delivery.*, account.settings, account.mode AS account_mode, account.shadow_mapper
FROM webhook_logs delivery JOIN provider_configs account ON account.id = delivery.account_id
WHERE delivery.id > :after AND delivery.id <= :newest AND {_MEANT}
ORDER BY delivery.id LIMIT :most FOR UPDATE OF delivery FOR KEY SHARE OF account
""")  # noqa: S608 - our own words
_MARK = text("UPDATE webhook_logs SET replays = replays + 1, operation_id = :operation WHERE id = ANY(:ids)")
_FAILED = text("""
UPDATE webhook_logs SET state = 'failed', reason = 'processing_failed', error = :error, attempts = attempts + 1
WHERE id = :id
""")


def count(connection: Connection, arguments: Mapping[str, Any]) -> int:
    """How many deliveries a replay with these arguments would take."""
    return int(connection.execute(_COUNT, arguments).mappings().one()["deliveries"])


def arguments(
    *,
    account_id: UUID | None = None,
    provider: str | None = None,
    delivery: int | None = None,
    state: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:
    """Which deliveries are meant: all conditions that are given must hold. Raises `FixConfiguration`."""
    if state is not None and state not in STATES:
        raise FixConfiguration(f"There is no state {state!r}. There are: {', '.join(STATES)}.")
    times = {"since": since.isoformat() if since else None, "until": until.isoformat() if until else None}
    account = str(account_id) if account_id else None
    return {"account_id": account, "provider": provider, "delivery": delivery, "state": state, **times}


def begin(connection: Connection, meant: Mapping[str, Any]) -> int:
    """A replay of the deliveries that are there now. Returns the operation."""
    found = connection.execute(_COUNT, meant).mappings().one()
    asked = {**meant, "newest": found["newest"] or 0}
    account_id = UUID(meant["account_id"]) if meant["account_id"] else None
    operation = operations.begin(connection, "replay", account_id, asked, found["deliveries"])
    given = {name: value for name, value in meant.items() if value is not None}
    audit.record(connection, "webhooks.replayed", f"operation {operation}", deliveries=found["deliveries"], **given)
    return operation


def step(connection: Connection, operation: Operation) -> Advance:
    """Replay the next deliveries."""
    after = operation.position.get("after", 0)
    rows = connection.execute(_CHUNK, {**operation.arguments, "after": after, "most": CHUNK}).mappings().all()
    counts: Counter[str] = Counter()
    for _, group in groupby(sorted(rows, key=itemgetter("provider", "id")), key=itemgetter("provider")):
        counts += _replay(connection, list(group))
    connection.execute(_MARK, {"operation": operation.id, "ids": [row["id"] for row in rows]})
    return Advance({"after": rows[-1]["id"]} if len(rows) == CHUNK else None, len(rows), counts)


def _replay(connection: Connection, rows: Sequence[RowMapping]) -> Counter[str]:
    """The batch at once; where that fails, one by one, so that the one that fails is found."""
    try:
        with connection.begin_nested():
            verdicts, outcome = settle(connection, rows, thorough=True)
    except OperationalError:
        raise
    except Exception as error:
        if len(rows) > 1:
            return sum((_replay(connection, [row]) for row in rows), Counter())
        logger.exception("a delivery could not be replayed", delivery=rows[0]["id"])
        connection.execute(_FAILED, {"id": rows[0]["id"], "error": type(error).__name__})
        return Counter(failed=1)
    done = Counter(verdict.state for verdict in verdicts)
    return done + Counter(calls_inserted=outcome.inserted, calls_updated=outcome.updated)
