"""What Prometheus may know of the system, read when it asks: from Postgres, which has the truth, and from Redis.

No process counts anything, so none takes a count with it when it dies. Each family is one cheap statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from calltrack import log, registry
from calltrack.config import settings
from calltrack.db.session import engine
from calltrack.errors import CalltrackError
from calltrack.sync.connections import breaker_of
from calltrack.sync.spool import SUFFIX

logger = log.get(__name__)

ACCOUNT = ("provider", "account")
_ACCOUNTS = text("SELECT id, provider_type, name FROM provider_configs")
#: kinds of queues that each provider has
QUEUES = ("fetch", "store", "webhooks")
CONTROL = "control"


@dataclass(frozen=True)
class Family:
    """A metric: the last column of its statement is the value, the others are its labels."""

    name: str
    about: str
    labels: tuple[str, ...]
    query: str
    counts: bool = False


FAMILIES = (
    Family(
        "calltrack_account_active",
        "1 while the account is synced and takes deliveries.",
        (*ACCOUNT, "mode"),
        "SELECT provider_type, name, mode, is_active::int FROM provider_configs",
    ),
    Family(
        "calltrack_account_blocked_seconds",
        "Seconds that the provider told us to wait still.",
        ACCOUNT,
        "SELECT provider_type, name, greatest(0, extract(epoch FROM coalesce(blocked_until, now()) - now()))"
        " FROM provider_configs",
    ),
    Family(
        "calltrack_account_faults",
        "1 while the account needs a person: see calltrack accounts list.",
        ACCOUNT,
        "SELECT account.provider_type, account.name, (account.health IS NOT NULL)::int FROM provider_configs account",
    ),
    Family(
        "calltrack_synced_age_seconds",
        "Age of the moment up to which the provider's list has been read.",
        ACCOUNT,
        "SELECT account.provider_type, account.name, extract(epoch FROM now() - status.synced_until)"
        " FROM sync_status status JOIN provider_configs account ON account.id = status.account_id"
        " WHERE status.synced_until IS NOT NULL",
    ),
    Family(
        "calltrack_calls_synced",
        "Calls that syncs have brought.",
        ACCOUNT,
        "SELECT account.provider_type, account.name, status.records_synced"
        " FROM sync_status status JOIN provider_configs account ON account.id = status.account_id",
        counts=True,
    ),
    Family(
        "calltrack_runs_open",
        "Sync runs that wait or are under way.",
        ("provider", "mode", "state"),
        "SELECT provider, mode, state, count(*) FROM sync_runs WHERE state IN ('queued', 'running') GROUP BY 1, 2, 3",
    ),
    Family(
        "calltrack_pages_waiting",
        "Pages that are to be fetched (pending) or stored (fetched).",
        ("provider", "state"),
        "SELECT provider, state, count(*) FROM sync_pages WHERE state IN ('pending', 'fetched') GROUP BY 1, 2",
    ),
    Family(
        "calltrack_deliveries_waiting",
        "Webhook deliveries that are landed and not processed.",
        ("provider",),
        "SELECT provider, count(*) FROM webhook_logs WHERE state = 'received' GROUP BY 1",
    ),
    Family(
        "calltrack_deliveries_oldest_seconds",
        "Age of the oldest delivery that is landed and not processed.",
        ("provider",),
        "SELECT provider, extract(epoch FROM now() - min(received_at)) FROM webhook_logs"
        " WHERE state = 'received' GROUP BY 1",
    ),
    Family(
        "calltrack_deliveries_dead",
        "Deliveries that could not be used (rejected), or that we failed at (failed).",
        (*ACCOUNT, "state"),
        "SELECT account.provider_type, account.name, delivery.state, count(*)"
        " FROM webhook_logs delivery JOIN provider_configs account ON account.id = delivery.account_id"
        " WHERE delivery.state IN ('failed', 'rejected') GROUP BY 1, 2, 3",
    ),
    Family(
        "calltrack_deliveries",
        "Deliveries that came and were processed, over the hours that are remembered.",
        ACCOUNT,
        "SELECT account.provider_type, account.name, sum(arrival.deliveries)"
        " FROM arrivals arrival JOIN provider_configs account ON account.id = arrival.account_id GROUP BY 1, 2",
        counts=True,
    ),
    Family(
        "calltrack_deliveries_refused",
        "Deliveries that were refused at the door.",
        ("door", "reason"),
        "SELECT door, reason, sum(refusals) FROM webhook_refusals GROUP BY 1, 2",
        counts=True,
    ),
    Family(
        "calltrack_records_rejected",
        "Records that could not become calls, and have not since.",
        ("provider", "reason"),
        "SELECT provider, reason, count(*) FROM rejected_records WHERE resolved_at IS NULL GROUP BY 1, 2",
    ),
    Family(
        "calltrack_ledger_ids",
        "Ids of the checked buckets, by the state that the last check found them in.",
        (*ACCOUNT, "state"),
        "SELECT account.provider_type, account.name, found.state, sum(found.ids)"
        " FROM ledger_buckets bucket JOIN provider_configs account ON account.id = bucket.account_id,"
        " LATERAL (VALUES ('stored', stored), ('rejected', rejected), ('excluded', excluded), ('pending', pending),"
        " ('gone', gone), ('mismatched', mismatched), ('unexplained', unexplained)) found(state, ids)"
        " GROUP BY 1, 2, 3",
    ),
    Family(
        "calltrack_ledger_repaired",
        "Calls that checks found missing or different, and repaired.",
        ACCOUNT,
        "SELECT account.provider_type, account.name, sum(bucket.repaired)"
        " FROM ledger_buckets bucket JOIN provider_configs account ON account.id = bucket.account_id GROUP BY 1, 2",
        counts=True,
    ),
    Family(
        "calltrack_ledger_checked_age_seconds",
        "Age of the newest check of the account's ledger.",
        ACCOUNT,
        "SELECT account.provider_type, account.name, extract(epoch FROM now() - max(bucket.checked_at))"
        " FROM ledger_buckets bucket JOIN provider_configs account ON account.id = bucket.account_id"
        " WHERE bucket.checked_at IS NOT NULL GROUP BY 1, 2",
    ),
    Family(
        "calltrack_alerts_open",
        "Alerts that somebody should look at: see calltrack alerts.",
        ("kind",),
        "SELECT kind, count(*) FROM alerts WHERE closed_at IS NULL GROUP BY 1",
    ),
    Family(
        "calltrack_operations_running",
        "Replays, retries and remaps that are under way.",
        ("kind",),
        "SELECT kind, count(*) FROM operations WHERE state = 'running' GROUP BY 1",
    ),
)


class System(Collector):
    """All metrics. What cannot be read, because its server is away, is left out; `calltrack_up` tells so."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("calltrack_up", "1 if the server answers.", labels=["part"])
        for part, read in (("postgres", _of_postgres), ("redis", _of_redis)):
            found, answers = _attempt(read)
            up.add_metric([part], float(answers))
            yield from found
        yield _of_spool()
        yield up


def _attempt(read: Callable[[], Iterator[Metric]]) -> tuple[Sequence[Metric], bool]:
    try:
        return list(read()), True
    except (OperationalError, redis.RedisError, CalltrackError) as error:
        logger.warning("metrics are incomplete", error=type(error).__name__)
        return [], False


def _of_postgres() -> Iterator[Metric]:
    with engine().connect() as connection:
        for family in FAMILIES:
            yield _read(connection, family)
        yield from _breakers(connection)


def _read(connection: Connection, family: Family) -> Metric:
    kind = CounterMetricFamily if family.counts else GaugeMetricFamily
    metric: Metric = kind(family.name, family.about, labels=list(family.labels))
    for *labels, value in connection.execute(text(family.query)):
        metric.add_metric([str(label) for label in labels], float(value))  # type: ignore[attr-defined]
    return metric


def _breakers(connection: Connection) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "calltrack_breaker_open", "1 while the provider is left alone, 0.5 while it is probed.", labels=list(ACCOUNT)
    )
    failures = GaugeMetricFamily(
        "calltrack_breaker_failures", "Failures in a row that the breaker has counted.", labels=list(ACCOUNT)
    )
    for account_id, *labels in connection.execute(_ACCOUNTS):
        sight = breaker_of(account_id)
        if sight is not None:
            state.add_metric(labels, 0.0 if sight.closed else 1.0 if sight.wait > 0 else 0.5)
            failures.add_metric(labels, float(sight.failures))
    yield state
    yield failures


def _of_redis() -> Iterator[Metric]:
    """Messages that wait, where the broker is Redis: RabbitMQ has metrics of its own."""
    waiting = GaugeMetricFamily("calltrack_messages_waiting", "Messages in a queue of the broker.", labels=["queue"])
    found = settings()
    found.needs("redis_url")
    broker = found.broker_url or ""
    url = broker if broker.startswith(("redis://", "rediss://")) else None
    with redis.Redis.from_url(url or str(found.redis_url), socket_timeout=5, socket_connect_timeout=5) as client:
        client.ping()
        for queue in _queues() if url else ():
            length = client.llen(queue)
            waiting.add_metric([queue], float(length))
    yield waiting


def _queues() -> list[str]:
    return [CONTROL, *(f"{name}.{kind}" for name in registry.names() for kind in QUEUES)]


def _of_spool() -> Metric:
    """Of this machine's spool."""
    kept = GaugeMetricFamily("calltrack_spool_deliveries", "Deliveries on this machine's disk that wait for Postgres.")
    folder = settings().spool_dir
    number = 0
    with suppress(OSError):
        number = sum(1 for _ in folder.glob(f"*{SUFFIX}")) if folder else 0
    kept.add_metric([], float(number))
    return kept
