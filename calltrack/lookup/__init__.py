"""Calls by their ids, through Redis: quick to read, and never older than what Postgres has told anybody.

    call.py     a call as it is looked up, and packed
    cache.py    what stands in Redis, and the four scripts that alone touch it
    fence.py    the writers' half: around the commit of what changes a row
    flights.py  readers of one call at one moment go together
    read.py     the readers' half

How it stays true is in `docs/lookup.md`.
"""

from calltrack.lookup.call import Call
from calltrack.lookup.read import MOST, by_external_id, call, clear, find, stats, warm

__all__ = ["MOST", "Call", "by_external_id", "call", "clear", "find", "stats", "warm"]
