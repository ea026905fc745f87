"""What came in, how fast, and how much of it is let through."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class Limit:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Limit:
        """`"100/minute"`. Raises `ValueError` with what to write instead."""
        count, _, unit = text.partition("/")
        if not count.isdecimal() or int(count) < 1 or unit not in SECONDS:
            raise ValueError(f"A limit is written as 100/minute (or second, hour, day), not {text!r}.")
        return cls(int(count), SECONDS[unit])


class Limiter:
    """Lets requests through while no limit is reached. What it refuses does not count."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._windows = [(limit, deque[float]()) for limit in limits]

    def wait(self) -> float:
        """Seconds until a request would be let through; 0.0: this one is."""
        now = time.monotonic()
        wait = max((_wait(limit, granted, now) for limit, granted in self._windows), default=0.0)
        if wait <= 0.0:
            for _, granted in self._windows:
                granted.append(now)
        return max(wait, 0.0)


def _wait(limit: Limit, granted: deque[float], now: float) -> float:
    while granted and granted[0] <= now - limit.seconds:
        granted.popleft()
    return granted[0] + limit.seconds - now if len(granted) >= limit.count else 0.0


class Peak:
    """The most requests that there ever were in any window of so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.most = 0
        self._seconds = seconds
        self._times: deque[float] = deque()

    def note(self, now: float) -> None:
        self._times.append(now)
        while self._times[0] <= now - self._seconds:
            self._times.popleft()
        self.most = max(self.most, len(self._times))


class Traffic:
    """Counts of the requests that one stand-in saw, refused ones included."""

    def __init__(self) -> None:
        self.requests = 0
        #: refused because of a limit, however that was said
        self.too_many = 0
        self.paths: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self._second = Peak(1.0)
        self._minute = Peak(60.0)

    @property
    def most_in_1s(self) -> int:
        return self._second.most

    @property
    def most_in_60s(self) -> int:
        return self._minute.most

    def arrived(self, path: str) -> None:
        now = time.monotonic()
        self.requests += 1
        self.paths[path] += 1
        self._second.note(now)
        self._minute.note(now)

    def report(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "too_many": self.too_many,
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "paths": dict(self.paths),
            "faults": dict(self.faults),
            "most_in_1s": self.most_in_1s,
            "most_in_60s": self.most_in_60s,
        }


def retry_after(wait: float) -> str:
    """The value of the header: whole seconds, rounded up."""
    return str(max(1, math.ceil(wait)))
