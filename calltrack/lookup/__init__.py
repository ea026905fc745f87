"""Calls by their ids, through Redis.

    call.py     a call as it is looked up, and packed
    cache.py    what stands in Redis
    read.py     the readers' half
    forget.py   the writers' half: what they changed is forgotten after their commit

What holds, and why: `docs/lookup.md`.
"""

from calltrack.lookup.call import Call
from calltrack.lookup.read import MOST, by_external_id, call, clear, find, stats, warm

__all__ = ["MOST", "Call", "by_external_id", "call", "clear", "find", "stats", "warm"]
