"""When to start again what died."""

from __future__ import annotations

import time

FIRST = 0.5
LONGEST = 30.0
#: seconds after which a process counts as healthy: what comes then is a new misfortune
HEALTHY = 60.0


class Backoff:
    """Waits twice as long from one death to the next, up to LONGEST seconds, until a life was HEALTHY."""

    def __init__(self) -> None:
        self._next_wait = FIRST
        self._born = time.monotonic()
        self._due: float | None = None

    def born(self) -> None:
        self._born = time.monotonic()
        self._due = None

    def died(self) -> float:
        """Seconds until the next start."""
        now = time.monotonic()
        if now - self._born >= HEALTHY:
            self._next_wait = FIRST
        wait, self._next_wait = self._next_wait, min(self._next_wait * 2, LONGEST)
        self._due = now + wait
        return wait

    @property
    def is_waiting(self) -> bool:
        """Whether the death was noticed, and the next start is to come."""
        return self._due is not None

    @property
    def is_due(self) -> bool:
        return self._due is not None and time.monotonic() >= self._due
