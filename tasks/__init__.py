"""Celery's side: thin tasks that load a row, call one library function, and decide nothing.

>>> from tasks import sync_account
>>> sync_account.delay("retreaver", mode="incremental")
"""

from tasks.app import app
from tasks.deliveries import process_deliveries
from tasks.keys import workers_without
from tasks.recovery import (
    continue_operation,
    reconcile_account,
    recover_missed_webhooks,
    remap_account,
    replay_webhooks,
    retry_rejects,
)
from tasks.sync import cancel_run, fetch_page, resume_run, store_page, sync_account
from tasks.tick import tick

__all__ = [
    "app",
    "cancel_run",
    "continue_operation",
    "fetch_page",
    "process_deliveries",
    "reconcile_account",
    "recover_missed_webhooks",
    "remap_account",
    "replay_webhooks",
    "resume_run",
    "retry_rejects",
    "store_page",
    "sync_account",
    "tick",
    "workers_without",
]
