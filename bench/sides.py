"""One side of the pipeline by itself: one process, one thread, no messages.

    python -m bench.sides fetch|store RUN

`fetch` lands every page of a run that has begun, `store` stores what is landed.
"""

from __future__ import annotations

import math
import sys
from collections import deque

from sqlalchemy import text

from bench import turn
from calltrack import log
from calltrack.db.session import engine
from calltrack.sync import pull, store

_PAGES = text("SELECT id FROM sync_pages WHERE run_id = :run AND state = :state ORDER BY id")


def pages(run: int, state: str) -> list[int]:
    """The run's pages in this state. Asking for them also connects, before anything is timed."""
    with engine().connect() as connection:
        return list(connection.execute(_PAGES, {"run": run, "state": state}).scalars())


def fetch(waiting: list[int]) -> None:
    """Slice by slice, each to its end, as one message that is never late would do it."""
    for page in waiting:
        deque(pull.fetch_on(page, seconds=math.inf), maxlen=0)


def store_all(waiting: list[int]) -> None:
    """Each message stores what is fetched meanwhile, too: here that is everything."""
    deque(store.store_on(waiting[0], "retreaver", seconds=math.inf), maxlen=0)


def main() -> None:
    side, run = sys.argv[1], int(sys.argv[2])
    log.setup("json")
    work, state = {"fetch": (fetch, "pending"), "store": (store_all, "fetched")}[side]
    waiting = pages(run, state)
    turn.take(lambda: work(waiting))


if __name__ == "__main__":
    main()
