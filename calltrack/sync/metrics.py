"""What Prometheus may know of the system, read when it asks: from Postgres, which has the truth, and from Redis.

No process counts anything, so none takes a count with it when it dies. Each family is one cheap statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from calltrack import log, registry
from calltrack.client import state
from calltrack.config import REDIS_SCHEMES, settings
from calltrack.db.session import engine
from calltrack.errors import CalltrackError
from calltrack.sync.connections import breaker_of
from calltrack.sync.spool import SUFFIX

logger = log.get(__name__)

ACCOUNT = ("provider", "account")
_ACCOUNTS = text("SELECT id, provider_type, name FROM provider_configs")
#: a table that is locked, as by an upgrade, must not keep Prometheus waiting: it gives up after 10 s
_PATIENCE = text("SET LOCAL statement_timeout = '3s'")
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
        "Age of the moment up to which the provider's list has been read; of the account, where it never was.",
        ACCOUNT,
        "SELECT account.provider_type, account.name,"
        " extract(epoch FROM now() - coalesce(status.synced_until, account.created_at))"
        " FROM provider_configs account LEFT JOIN sync_status status ON account.id = status.account_id",
    ),
    Family(
        "calltrack_sync_age_seconds",
        "Time since a sync last succeeded: of any mode, and a full one.",
        (*ACCOUNT, "mode"),
        "SELECT account.provider_type, account.name, sync.mode, extract(epoch FROM now() - sync.at)"
        " FROM sync_status status JOIN provider_configs account ON account.id = status.account_id,"
        " LATERAL (VALUES ('any', last_successful_sync_at), ('full', last_full_sync_at)) sync(mode, at)"
        " WHERE sync.at IS NOT NULL",
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
        "calltrack_pages_overdue_seconds",
        "Time since the page that waits longest could have been fetched or stored.",
        ("provider",),
        "SELECT provider, greatest(0, extract(epoch FROM now() - min(next_attempt_at))) FROM sync_pages"
        " WHERE state IN ('pending', 'fetched') GROUP BY 1",
    ),
    Family(
        "calltrack_pages_failed",
        "Pages that were given up: see calltrack runs list.",
        ("provider",),
        "SELECT provider, count(*) FROM sync_pages WHERE state = 'failed' AND state <> 'stored' GROUP BY 1",
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
        "Deliveries that came and were processed.",
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
        up = GaugeMetricFamily("calltrack_up", "1 if the server answers, in time and as it should.", labels=["part"])
        for part, read in _parts():
            found, answers = _attempt(read)
            up.add_metric([part], float(answers))
            yield from found
        yield from _of_spool()
        yield up


def _parts() -> Iterator[tuple[str, Callable[[], Iterator[Metric]]]]:
    yield "postgres", _of_postgres
    yield "redis", _of_redis
    if (settings().broker_url or "").partition("://")[0] in REDIS_SCHEMES:  # RabbitMQ has metrics of its own
        yield "broker", _of_broker


def _attempt(read: Callable[[], Iterator[Metric]]) -> tuple[Sequence[Metric], bool]:
    try:
        return list(read()), True
    except (OperationalError, ProgrammingError, redis.RedisError, CalltrackError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        logger.warning("metrics are incomplete", error=type(reason).__name__)
        return [], False


def _of_postgres() -> Iterator[Metric]:
    with engine().connect() as connection:
        connection.execute(_PATIENCE)
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
    opened = GaugeMetricFamily(
        "calltrack_breaker_open", "1 while the provider is left alone, 0.5 while it is probed.", labels=list(ACCOUNT)
    )
    failures = GaugeMetricFamily(
        "calltrack_breaker_failures", "Failures in a row that the breaker has counted.", labels=list(ACCOUNT)
    )
    for account_id, *labels in connection.execute(_ACCOUNTS):
        sight = breaker_of(account_id)
        if sight is not None:
            opened.add_metric(labels, 0.0 if sight.closed else 1.0 if sight.wait > 0 else 0.5)
            failures.add_metric(labels, float(sight.failures))
    yield opened
    yield failures


def _of_redis() -> Iterator[Metric]:
    """Nothing but whether it answers: the breakers are read with their accounts."""
    found = settings()
    found.needs("redis_url")
    with state.connect(str(found.redis_url)) as client:
        client.ping()
    yield from ()


def _of_broker() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("calltrack_messages_waiting", "Messages in a queue of the broker.", labels=["queue"])
    with state.connect(str(settings().broker_url)) as client:
        for queue in _queues():
            length = client.llen(queue)
            waiting.add_metric([queue], float(length))
    yield waiting


def _queues() -> list[str]:
    return [CONTROL, *(f"{name}.{kind}" for name in registry.names() for kind in QUEUES)]


def _of_spool() -> Iterator[Metric]:
    """Of this machine's spool."""
    sizes = _sizes(settings().spool_dir)
    yield GaugeMetricFamily(
        "calltrack_spool_deliveries", "Deliveries on this machine's disk that wait for Postgres.", value=len(sizes)
    )
    yield GaugeMetricFamily(
        "calltrack_spool_bytes", "Bytes that these deliveries take: see CALLTRACK_SPOOL_LIMIT.", value=sum(sizes)
    )


def _sizes(folder: Path | None) -> list[int]:
    sizes = []
    for path in folder.glob(f"*{SUFFIX}") if folder else ():
        with suppress(OSError):  # landed meanwhile
            sizes.append(path.stat().st_size)
    return sizes
