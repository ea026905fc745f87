"""Refused deliveries are counted, not stored: a flood of forged requests costs no write each. Of few more is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import Connection, Error
from psycopg.types.json import Jsonb

from calltrack import log
from calltrack.errors import RefuseDelivery
from calltrack.networks import Address
from calltrack.seldom import Seldom
from webhooks.answers import NotLanded

logger = log.get(__name__)

#: seconds between writes
INTERVAL = 10.0

#: refusals of an hour, door and reason of which more is kept than their number
SAMPLES = 5
_FIRST = f"$[0 to {SAMPLES - 1}]"

_ADD = """
INSERT INTO webhook_refusals (hour, door, reason, refusals, samples) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (hour, door, reason) DO UPDATE SET refusals = webhook_refusals.refusals + excluded.refusals,
    samples = jsonb_path_query_array(webhook_refusals.samples || excluded.samples, %s)
"""


class Key(NamedTuple):
    """What is counted apart."""

    hour: datetime
    door: str
    reason: str


@dataclass
class Tally:
    """The refusals of one key since the last write."""

    refusals: int = 0
    #: the first few: {"at", "source", "detail"}
    samples: list[dict[str, str | None]] = field(default_factory=list)

    def add(self, later: Tally) -> None:
        self.refusals += later.refusals
        self.samples = [*self.samples, *later.samples][:SAMPLES]


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
        self._tallies: dict[Key, Tally] = {}
        self._written_at = clock()
        self._seldom = Seldom()

    def count(self, door: str, refusal: RefuseDelivery, source: Address | None = None) -> None:
        """One more. `door` must be one of few: an account's label, a provider's name, or "unknown"."""
        now = self._clock()
        key = Key(datetime.fromtimestamp(now // 3600 * 3600, UTC), door, refusal.reason)
        with self._lock:
            tally = self._tallies.setdefault(key, Tally())
            tally.refusals += 1
            if len(tally.samples) < SAMPLES:
                tally.samples.append(_sample(now, refusal, source))
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
            tallies, self._tallies = self._tallies, {}
        if not tallies:
            return
        try:
            self._run(lambda connection: _add(connection, tallies))
        except (Error, NotLanded):
            self._keep(tallies)

    def _keep(self, tallies: dict[Key, Tally]) -> None:
        with self._lock:
            for key, later in self._tallies.items():
                tallies.setdefault(key, Tally()).add(later)
            self._tallies = tallies


def _sample(at: float, refusal: RefuseDelivery, source: Address | None) -> dict[str, str | None]:
    """Who was refused and why: nothing that the sender wrote."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return {"at": moment, "source": None if source is None else str(source), "detail": refusal.message}


def _add(connection: Connection[Any], tallies: dict[Key, Tally]) -> None:
    # One order for all processes: two that write the same rows crosswise would wait for each other.
    rows = [(*key, tally.refusals, Jsonb(tally.samples), _FIRST) for key, tally in sorted(tallies.items())]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_ADD, rows)
