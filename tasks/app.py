"""The Celery app; all its settings stand in `celeryconfig.py`."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery, signals

from calltrack import log
from calltrack.config import settings

app = Celery("calltrack", config_source="celeryconfig")


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    log.setup(settings().log_format)


@signals.task_prerun.connect
def _bind(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@signals.task_postrun.connect
def _unbind(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
