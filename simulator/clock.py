"""The time of a simulated world."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Runs with the real time, or stands still at `now` until somebody moves it."""

    def __init__(self, now: datetime | None = None) -> None:
        self._fixed = now
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The present moment of this world: aware UTC."""
        return (self._fixed or datetime.now(UTC)) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds, at once."""
        self._ahead += timedelta(seconds=seconds)
