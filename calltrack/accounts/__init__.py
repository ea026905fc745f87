"""Accounts, seen from above the providers: what people write about them is checked, the environment can set them up,
and the provider can be asked whether they work. The rows themselves are `calltrack.db.accounts`.
"""

from calltrack.accounts.check import check
from calltrack.accounts.manage import Added, Changed, add, change, context, remove, rotated, set_active, set_rhythm
from calltrack.accounts.schedule import next_daily, next_syncs
from calltrack.accounts.seed import seed

__all__ = [
    "Added",
    "Changed",
    "add",
    "change",
    "check",
    "context",
    "next_daily",
    "next_syncs",
    "remove",
    "rotated",
    "seed",
    "set_active",
    "set_rhythm",
]
