"""Every queue, route, default and schedule of Celery, in one place.

A message only says "look at this row" (the state is in Postgres), so messages are acknowledged early, results are not
kept, and nothing here has to be safe against loss.
"""

from __future__ import annotations

import sys
from typing import Any

from kombu import Exchange, Queue

from calltrack import registry
from calltrack.config import settings
from calltrack.errors import CalltrackError

#: the task that moves work on → the kind of queue it waits in; each provider has one queue of each kind
LANES = {"fetch_page": "fetch", "store_page": "store", "process_deliveries": "webhooks"}
#: what asks a provider for somebody: beside the pages, so that a slow provider holds up nobody else
ASKING = frozenset(
    {
        *("check_credentials", "get_call", "update_call", "call_report"),
        *("list_numbers", "provision_number", "release_number", "list_campaigns", "get_campaign"),
        *("list_webhooks", "register_webhook", "remove_webhook"),
    }
)
CONTROL = "control"


def route(name: str, args: Any, kwargs: dict[str, Any], options: Any, task: Any = None, **_: Any) -> dict[str, str]:  # noqa: ARG001
    """`<provider>.<kind>` for work on a provider's rows, `control` for everything else."""
    short = name.rpartition(".")[2]
    lane = "fetch" if short in ASKING else LANES.get(short)
    return {"queue": f"{kwargs['provider']}.{lane}" if lane else CONTROL}


def _urls() -> tuple[str | None, str | None]:
    """The broker's URL and the result backend's; a missing setting ends the process with one sentence."""
    try:
        found = settings()
        found.needs("database_url", "broker_url")
    except CalltrackError as error:
        sys.exit(f"calltrack: {error.message}")
    return found.broker_url, found.redis_url


broker_url, result_backend = _urls()

_NAMES = [CONTROL, *(f"{name}.{lane}" for name in registry.names() for lane in LANES.values())]


def _queue(name: str) -> Queue:
    """On RabbitMQ a quorum queue, behind a topic exchange: only so the broker keeps messages that are due later."""
    if (broker_url or "").partition("://")[0] not in ("amqp", "amqps", "pyamqp"):
        return Queue(name)
    exchange = Exchange("calltrack", type="topic")
    return Queue(name, exchange, routing_key=name, queue_arguments={"x-queue-type": "quorum"})


task_queues = [_queue(name) for name in _NAMES]
task_default_queue = CONTROL
task_create_missing_queues = False  # a typo in a queue's name fails, instead of waiting for ever
task_routes = (route,)

task_serializer = result_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
result_expires = 3600
task_acks_late = False
task_time_limit = 300
task_send_sent_event = False
worker_send_task_events = True  # for Flower
worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
worker_cancel_long_running_tasks_on_connection_loss = True
timezone = "UTC"

# A publish must not hang on a half-open connection: the row is committed, the sweeper will send the hint again.
broker_connection_retry_on_startup = True
broker_transport_options = {
    "visibility_timeout": 300,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
result_backend_transport_options = {"visibility_timeout": 300}
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.2}

# One static tick; what is due stands in Postgres. No schedule file, and two beats do no harm.
beat_scheduler = "tasks.steady:SteadyScheduler"
beat_max_loop_interval = 5  # seconds until it notices that the clock was set back
beat_schedule = {"tick": {"task": "calltrack.tick", "schedule": 5.0, "options": {"expires": 5.0}}}
