"""Celery's side: thin tasks that load a row, call one library function, and decide nothing.

>>> from tasks import sync_account
>>> sync_account.delay("retreaver", mode="incremental")
"""

from tasks.app import app
from tasks.deliveries import process_deliveries
from tasks.sync import cancel_run, fetch_page, resume_run, store_page, sync_account
from tasks.tick import tick

__all__ = [
    "app",
    "cancel_run",
    "fetch_page",
    "process_deliveries",
    "resume_run",
    "store_page",
    "sync_account",
    "tick",
]
