"""How often we may ask: one budget per account, shared by all processes, taken right before each HTTP request.

Short limits ("100/minute") are paced on Redis (GCRA), so that no window of that length, wherever it begins, sees more
requests than the limit; long ones ("5000/day") are counted.

A refusal by the provider blocks everybody at once, and teaches us: the true limit may be lower than what we were told,
and change. We find out how much it lets through, stay a little below that for some time, and then try again how much
more it lets us do; the next time that this fails, we wait twice as long. The rule is in `refused.lua` and `budget.lua`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import ratelimit
import redis

from calltrack.client.state import Away, shared
from calltrack.errors import FixConfiguration


class Lane(IntEnum):
    """Who asks, most urgent first. A lane gives way to those before it as long as these keep the budget busy."""

    LIVE = 0
    INCREMENTAL = 1
    REPAIR = 2
    BACKFILL = 3


SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
LIMIT = re.compile(r"\s*(\d+)\s*/\s*(second|minute|hour|day)s?\s*", re.IGNORECASE)

#: the part of a limit that lanes hold back for those before them; of a paced limit at most so many requests
RESERVE = 0.08
LARGEST_RESERVE = 4
#: seconds by which the way to the provider may differ between two requests
JITTER = 0.02
#: how finely a long period is counted
PIECES = 24
#: seconds that a block lasts at least and at most
SHORTEST_BLOCK = 1.0
#: and where neither the provider nor Redis says how long
UNTOLD = 5.0
LONGEST_BLOCK = 86_400.0


@dataclass(frozen=True, order=True)
class Limit:
    """At most `count` requests in any `period` seconds.

    Written evenly, requests would come every `period / count` seconds. But whoever is late by a little, or more urgent
    than others, must be able to go ahead of that pace; and to still stay within the limit, the pace itself is somewhat
    slower. With an interval T and at most D intervals ahead, fewer than `period / T + D + 1` requests fit in a period.
    """

    period: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read "100/minute" (second, minute, hour or day). Raises `FixConfiguration`."""
        match = LIMIT.fullmatch(text)
        if match is None or int(match[1]) < 1:
            raise FixConfiguration(f"A rate limit is written like 100/minute (or /second, /hour, /day), not {text!r}.")
        return cls(period=SECONDS[match[2].lower()], count=int(match[1]))

    @property
    def is_paced(self) -> bool:
        """Whether requests are spread evenly over the period; those of a long period are counted."""
        return self.period < SECONDS["hour"]

    @property
    def reserve(self) -> float:
        """How many requests the most urgent lane can be ahead of the pace."""
        return min(self.count * RESERVE, LARGEST_RESERVE)

    @property
    def interval(self) -> float:
        """Seconds between two requests at the even pace."""
        return (self.period + JITTER) / (self.count - self.reserve)

    def terms(self, lane: Lane) -> tuple[str, int, float, float]:
        """The limit as the script takes it, for one lane."""
        share = 1 - lane / len(Lane)
        if self.is_paced:
            return "paced", self.period, self.interval * 1e6, self.interval * self.reserve * share * 1e6
        return "counted", self.period, PIECES, max(1, int(self.count * (1 - RESERVE * (1 - share))))

    def __str__(self) -> str:
        return f"{self.count}/{next(name for name, seconds in SECONDS.items() if seconds == self.period)}"


class Budget:
    """An account's requests, as allowed to all processes together. Safe to share between threads.

    Nothing is lost with Redis but the memory of the last requests; while it is away each process keeps to its share.
    """

    def __init__(
        self,
        client: redis.Redis,
        account: str,
        limits: Sequence[Limit],
        processes: int = 1,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`processes` is how many processes take from this budget at most. `clock` (seconds) is for tests."""
        tightest = {limit.period: limit for limit in sorted(limits, reverse=True)}
        self._terms = {lane: [term for limit in tightest.values() for term in limit.terms(lane)] for lane in Lane}
        self._key = f"calltrack:budget:{account}"
        self._redis = shared(client)
        self._take = client.register_script(_source("budget.lua"))
        self._block = client.register_script(_source("block.lua"))
        self._refused = client.register_script(_source("refused.lua"))
        paced = [limit for limit in tightest.values() if limit.is_paced]
        self._slowest = max(paced, default=None)
        self._clock = clock
        self._floor = floor(account, tuple(tightest.values()), processes)

    def take(self, lane: Lane) -> float:
        """Take one request: 0.0 where it is granted, else the seconds after which to ask again."""
        try:
            wait: int = self._run(self._take, *self._pace, *self._terms[lane])
        except Away:
            return self._floor.take()
        return wait / 1e6

    def block(self, seconds: float) -> None:
        """Grant nothing to anybody for so many seconds (1 s to 24 h)."""
        seconds = min(max(seconds, SHORTEST_BLOCK), LONGEST_BLOCK)
        self._floor.block(seconds)
        with suppress(Away):
            self._run(self._block, seconds * 1e6)

    def refused(self, seconds: float | None) -> float:
        """The provider refused a request: grant nothing for so long as it says, and learn from it.

        `seconds` is None where it says nothing. Returns the seconds until something may be granted.
        """
        told = None if seconds is None else min(max(seconds, SHORTEST_BLOCK), LONGEST_BLOCK)
        period, interval = (self._slowest.period, self._slowest.interval) if self._slowest else (0.0, 0.0)
        try:
            wait: int = self._run(self._refused, "" if told is None else told * 1e6, period * 1e6, interval * 1e6)
        except Away:
            wait = int((told or UNTOLD) * 1e6)
        self._floor.block(wait / 1e6)
        return wait / 1e6

    @property
    def _pace(self) -> tuple[float, float]:
        """Of the slowest paced limit: its period in microseconds, and what share of it one request takes."""
        slowest = self._slowest
        return (slowest.period * 1e6, slowest.interval / slowest.period) if slowest else (0.0, 0.0)

    def _run(self, script: Callable[..., Any], *terms: str | float) -> Any:
        now = "" if self._clock is None else self._clock() * 1e6
        return self._redis.ask(lambda: script(keys=[self._key], args=[now, *terms]))


class Floor:
    """What one process allows itself while Redis is away: its even share of each limit, evenly spread."""

    def __init__(self, limits: Sequence[Limit], processes: int) -> None:
        shares = ((limit.period, limit.count // processes or limit.count / processes) for limit in limits)
        self._interval = max((period / share for period, share in shares), default=0.0)
        self._blocked_until = 0.0

    def take(self) -> float:
        """As `Budget.take`."""
        if (blocked := self._blocked_until - time.monotonic()) > 0:
            return blocked
        try:
            self._once()
        except ratelimit.RateLimitException as early:
            return max(float(early.period_remaining), 0.001)
        return 0.0

    def block(self, seconds: float) -> None:
        """As `Budget.block`."""
        self._blocked_until = max(self._blocked_until, time.monotonic() + seconds)

    @cached_property
    def _once(self) -> Callable[[], None]:
        """Raises when called again too soon. One call per interval, not many per period: its windows are fixed ones."""
        once: Callable[[], None] = ratelimit.limits(calls=1, period=self._interval)(lambda: None)
        return once


@cache
def floor(account: str, limits: tuple[Limit, ...], processes: int) -> Floor:  # noqa: ARG001 - part of the key
    """The one floor of an account in this process."""
    return Floor(limits, processes)


@cache
def _source(script: str) -> str:
    return files("calltrack.client").joinpath(script).read_text()
