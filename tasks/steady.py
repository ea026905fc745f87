"""Beat on a clock that may be set back."""

from __future__ import annotations

from time import time as now
from typing import Any

from celery.beat import Scheduler


class SteadyScheduler(Scheduler):
    """Celery's scheduler, which would else wait until the clock is again where it once was: for an hour, or a day."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._latest = 0.0
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Run what is due. Returns the seconds until it is time to look again."""
        before, self._latest = self._latest, now()
        if self._latest < before:
            self._begin_anew()
        return super().tick(*args, **kwargs)

    def _begin_anew(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now()
        self._heap = None
