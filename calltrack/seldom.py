"""Says things now and then."""

from __future__ import annotations

import time
from collections.abc import Callable


class Seldom:
    """Lets each kind of event through once in a while: a flood must not fill the log."""

    def __init__(self, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next: dict[str, float] = {}

    def due(self, kind: str) -> bool:
        """Whether this kind has not been let through for so long. There must be few kinds."""
        now = self._clock()
        if now < self._next.get(kind, now):
            return False
        self._next[kind] = now + self._seconds
        return True
