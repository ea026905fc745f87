"""Refused deliveries are counted, not stored: a flood of forged requests costs no write each."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import Connection, Error

from calltrack import log
from calltrack.errors import RefuseDelivery
from webhooks.answers import NotLanded
from webhooks.seldom import Seldom

logger = log.get(__name__)

#: seconds between writes
INTERVAL = 10.0

_ADD = """
INSERT INTO webhook_refusals (hour, door, reason, refusals) VALUES (%s, %s, %s, %s)
ON CONFLICT (hour, door, reason) DO UPDATE SET refusals = webhook_refusals.refusals + excluded.refusals
"""


class Key(NamedTuple):
    """What is counted apart."""

    hour: datetime
    door: str
    reason: str


class Refusals:
    """Counts in memory, by hour, door and reason; written to `webhook_refusals` now and then."""

    def __init__(
        self,
        run: Callable[[Callable[[Connection[Any]], None]], None],
        start: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`run` does a piece of work on a connection; `start` starts the thread that calls `write_sometimes`."""
        self._run = run
        self._start = start
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[Key] = Counter()
        self._written_at = clock()
        self._seldom = Seldom()

    def count(self, door: str, refusal: RefuseDelivery) -> None:
        """One more. `door` must be one of few: an account's label, a provider's name, or "unknown"."""
        hour = datetime.fromtimestamp(self._clock() // 3600 * 3600, UTC)
        with self._lock:
            self._counts[Key(hour, door, refusal.reason)] += 1
        self._start()
        if self._seldom.due(f"{door} {refusal.reason}"):
            logger.warning("deliveries are refused", door=door, reason=refusal.reason, status=refusal.status)

    def write_sometimes(self) -> None:
        """`write`, unless that was done a moment ago."""
        if self._clock() - self._written_at >= INTERVAL:
            self.write()

    def write(self) -> None:
        """Add the counts to the table. What cannot be written is kept for the next time."""
        self._written_at = self._clock()
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            self._run(lambda connection: _add(connection, counts))
        except (Error, NotLanded):
            with self._lock:
                self._counts += counts


def _add(connection: Connection[Any], counts: Counter[Key]) -> None:
    # One order for all processes: two that write the same rows crosswise would wait for each other.
    rows = [(*key, refusals) for key, refusals in sorted(counts.items())]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_ADD, rows)
