"""The Celery app; all its settings stand in `celeryconfig.py`."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import structlog
from celery import Celery, Task, signals
from celery.exceptions import SecurityWarning
from sqlalchemy.exc import OperationalError

from calltrack import log
from calltrack.config import settings
from calltrack.db import audit

# Started by root, as in a container, workers are meant to run as root: messages are JSON, which runs nothing.
warnings.filterwarnings("ignore", category=SecurityWarning)


class Work(Task):
    """A task of ours. While Postgres is away it fails in one line, without a traceback: the sweeper tries again."""

    throws: tuple[type[Exception], ...] = (OperationalError,)


app = Celery("calltrack", config_source="celeryconfig", task_cls=Work)


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    log.setup(settings().log_format)


@signals.worker_process_init.connect
@signals.worker_ready.connect
def _keep_what_is_loaded(**_: Any) -> None:
    """The garbage collector need not look through it again each time that a page's records come and go.

    With that, and looking more seldom, storing takes a twelfth less CPU (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@signals.task_prerun.connect
def _bind(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    audit.act_as(f"task {task.name}")


@signals.task_postrun.connect
def _unbind(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    audit.act_as(None)
