"""Celery's side: thin tasks that load a row, call one library function, and decide nothing.

>>> from tasks import sync_account
>>> sync_account.delay("acme", mode="incremental")
"""

from tasks.app import app
from tasks.deliveries import process_deliveries
from tasks.interface import (
    call_report,
    check_credentials,
    get_call,
    get_campaign,
    list_campaigns,
    list_numbers,
    list_webhooks,
    provision_number,
    register_webhook,
    release_number,
    remove_webhook,
    update_call,
)
from tasks.keys import workers_without
from tasks.recovery import (
    continue_operation,
    reconcile_account,
    recover_missed_webhooks,
    remap_account,
    replay_webhooks,
    retry_rejects,
)
from tasks.retention import remove_old
from tasks.sync import cancel_run, fetch_page, resume_run, store_page, sync_account
from tasks.tick import tick

__all__ = [
    "app",
    "call_report",
    "cancel_run",
    "check_credentials",
    "continue_operation",
    "fetch_page",
    "get_call",
    "get_campaign",
    "list_campaigns",
    "list_numbers",
    "list_webhooks",
    "process_deliveries",
    "provision_number",
    "reconcile_account",
    "recover_missed_webhooks",
    "register_webhook",
    "release_number",
    "remap_account",
    "remove_old",
    "remove_webhook",
    "replay_webhooks",
    "resume_run",
    "retry_rejects",
    "store_page",
    "sync_account",
    "tick",
    "update_call",
    "workers_without",
]
