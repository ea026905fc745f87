"""Beat must go on when the clock is set back."""

from datetime import timedelta

import pytest
from celery import Celery

from tasks.steady import SteadyScheduler


@pytest.fixture
def ticking():
    """A scheduler with a task that is due every second, which keeps what it sends."""

    class Keeping(SteadyScheduler):
        sent = ()

        def apply_async(self, entry, **_):
            self.sent += (entry.name,)

    app = Celery(broker="memory://")
    app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 1.0}}
    return Keeping(app)


def test_after_the_clock_was_set_back_tasks_are_due_again(ticking, monkeypatch):
    monkeypatch.setattr("tasks.steady.now", lambda: 3600.0)
    ticking.schedule["tick"].last_run_at += timedelta(hours=1)
    assert ticking.tick() > 1.0
    monkeypatch.setattr("tasks.steady.now", lambda: 0.0)
    assert ticking.tick() <= 1.0
