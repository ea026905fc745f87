"""Processing landed webhook deliveries, in batches: one transaction for up to some hundreds of them.

Under little load a delivery is processed at once, by itself; under much load one hint wakes a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from calltrack import log
from calltrack.client.retry import backoff
from calltrack.db.session import driver, engine, rows
from calltrack.errors import NotACall, RefuseDelivery
from calltrack.model import call_id
from calltrack.provider import Mapper
from calltrack.sync import arrivals, rejects, wanted
from calltrack.sync.hints import Hint, Step
from calltrack.sync.ingest import Outcome, ingest
from calltrack.sync.observe import Reject, Sight
from calltrack.sync.reading import read_delivery, readings

#: a row of `webhook_logs`, with its account's `settings`, `account_mode` and `shadow_mapper`
Logged = Mapping[Any, Any]
#: deliveries in one transaction
BATCH = 300
MAX_ATTEMPTS = 8

_CLAIM = """
SELECT delivery.*, account.settings, account.mode AS account_mode, account.shadow_mapper
FROM webhook_logs delivery JOIN provider_configs account ON account.id = delivery.account_id
WHERE delivery.provider = %(provider)s AND delivery.state = 'received' AND delivery.next_attempt_at <= now()
ORDER BY delivery.next_attempt_at LIMIT %(most)s FOR UPDATE OF delivery SKIP LOCKED FOR KEY SHARE OF account
"""
_DONE = text("""
UPDATE webhook_logs SET state = done.state, reason = done.reason, call_id = done.call_id, error = NULL,
    attempts = attempts + 1, processed_at = clock_timestamp()
FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:reasons AS text[]), CAST(:calls AS uuid[]))
    AS done(id, state, reason, call_id)
WHERE webhook_logs.id = done.id
""")
_FAILED = text("""
UPDATE webhook_logs SET attempts = attempts + 1, next_attempt_at = now() + :wait, reason = 'processing_failed',
    error = :error, state = CASE WHEN attempts + 1 >= :most THEN 'failed' ELSE state END
WHERE id = :id AND state = 'received'
""")

logger = log.get(__name__)


@dataclass(frozen=True)
class Verdict:
    """What became of a delivery."""

    id: int
    state: str
    reason: str | None = None
    call: UUID | None = None
    #: the provider's id of the call, where it is to be asked for the rest
    wanted: str | None = None


def process(provider: str, most: int = BATCH, asked: list[Hint] | None = None) -> int:
    """Process a batch of the provider's waiting deliveries. Returns how many there were; 0: none is waiting.

    `asked` takes the hints for calls that the provider is to be asked for.
    """
    try:
        with engine().begin() as connection:
            number, hints = _process(connection, provider, most)
    except OperationalError:
        raise
    except Exception:
        if most == 1:
            raise
        logger.exception("a batch of deliveries failed: trying them one by one", provider=provider)
        return _one_by_one(provider, most)
    if asked is not None:
        asked += hints
    return number


def _process(connection: Connection, provider: str, most: int) -> tuple[int, list[Hint]]:
    waiting = rows(connection, _CLAIM, {"provider": provider, "most": most})
    if not waiting:
        return 0, []
    verdicts, _ = settle(connection, waiting)
    return len(waiting), _ask(connection, provider, waiting, verdicts)


def _ask(
    connection: Connection, provider: str, deliveries: Sequence[Logged], verdicts: Sequence[Verdict]
) -> list[Hint]:
    """Have the provider asked for the calls of which these deliveries told too little."""
    account_of = {delivery["id"]: delivery["account_id"] for delivery in deliveries}
    by_account: dict[UUID, list[str]] = {}
    for verdict in verdicts:
        if verdict.wanted is not None:
            by_account.setdefault(account_of[verdict.id], []).append(verdict.wanted)
    return [
        hint for account, ids in sorted(by_account.items()) for hint in wanted.ask(connection, account, provider, ids)
    ]


def _one_by_one(provider: str, most: int) -> int:
    """Isolate the delivery that makes a batch fail: it is tried again later, and given up after several times."""
    for done in range(most):
        with engine().begin() as connection:
            claimed = rows(connection, _CLAIM, {"provider": provider, "most": 1})
            if not claimed:
                return done
            (delivery,) = claimed
            try:
                with connection.begin_nested():
                    settle(connection, [delivery])  # what it wants asked is left to the next sync
            except OperationalError:
                raise
            except Exception as error:
                logger.exception("a delivery could not be processed", delivery=delivery["id"])
                wait = timedelta(seconds=backoff(delivery["attempts"] + 1))
                failed = {"id": delivery["id"], "wait": wait, "error": type(error).__name__, "most": MAX_ATTEMPTS}
                connection.execute(_FAILED, failed)
    return most


def settle(
    connection: Connection, waiting: Sequence[Logged], *, thorough: bool = False
) -> tuple[list[Verdict], Outcome]:
    """Map, ingest, and note with each delivery what became of it.

    The deliveries are locked by the caller.
    """
    verdicts, outcome = [], Outcome()
    for _, alike in groupby(sorted(waiting, key=_way), key=_way):
        settled, became = _settle(connection, list(alike), thorough=thorough)
        verdicts += settled
        outcome += became
    connection.execute(_DONE, _columns(verdicts))
    if not thorough:  # a replay is no arrival
        arrivals.note_deliveries(driver(connection).cursor(), waiting)
    return verdicts, outcome


def _way(delivery: Logged) -> tuple[str, str]:
    """Deliveries of accounts that are read the same way go together."""
    return delivery["account_mode"], delivery["shadow_mapper"] or ""


def _settle(connection: Connection, waiting: Sequence[Logged], *, thorough: bool) -> tuple[list[Verdict], Outcome]:
    first, *beside = readings(waiting[0])
    sight, others = Sight(), Sight()
    verdicts = [_read(delivery, first.mapper, sight) for delivery in waiting]
    with driver(connection).cursor() as cursor:
        outcome = ingest(cursor, sight.observations, thorough=thorough, target=first.target)
        refused = [rejects.of(one, reason) for one, reason in outcome.refused]
        rejects.keep(cursor, [*sight.rejects, *refused])
        for reading in beside:
            for delivery in waiting:
                _read(delivery, reading.mapper, others)
            ingest(cursor, others.observations, target=reading.target)
    late = {reject.door.delivery_id: reject for reject in refused}
    return [_rejected(verdict.id, late[verdict.id]) if verdict.id in late else verdict for verdict in verdicts], outcome


def _read(delivery: Logged, mapper: Mapper, sight: Sight) -> Verdict:
    """Read one delivery, and add what it says to what the batch has seen."""
    try:
        seen = read_delivery(delivery, mapper)
    except NotACall as error:
        return Verdict(delivery["id"], "ignored", error.reason)
    except RefuseDelivery as error:
        return Verdict(delivery["id"], "rejected", error.reason)
    sight.observations += seen.observations
    sight.rejects += seen.rejects
    if seen.excluded:
        return Verdict(delivery["id"], "ignored", f"excluded: {seen.excluded[0][1]}")
    if seen.rejects:
        return _rejected(delivery["id"], seen.rejects[0])
    record = seen.observations[0].record
    key = call_id(delivery["account_id"], record.external_id)
    asks = wanted.wants(delivery["provider"], delivery["settings"], record)
    return Verdict(delivery["id"], "processed", call=key, wanted=record.external_id if asks else None)


def _rejected(delivery_id: int, reject: Reject) -> Verdict:
    return Verdict(delivery_id, "rejected", reject.reason)


def _columns(verdicts: Sequence[Verdict]) -> dict[str, list[Any]]:
    return {
        "ids": [verdict.id for verdict in verdicts],
        "states": [verdict.state for verdict in verdicts],
        "reasons": [verdict.reason for verdict in verdicts],
        "calls": [verdict.call for verdict in verdicts],
    }


def drain(provider: str, batches: int = 20) -> list[Hint]:
    """Process batch after batch. Returns hints: for calls to ask for, and where deliveries are left after so many."""
    hints: list[Hint] = []
    for _ in range(batches):
        if process(provider, BATCH, hints) < BATCH:
            return hints
    return [*hints, Hint(Step.DELIVERIES, provider)]
