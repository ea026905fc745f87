"""Removing what is old, as the settings say."""

from __future__ import annotations

from calltrack.config import settings
from calltrack.sync import retention
from tasks.app import app

#: seconds that one message may keep a worker at it
GOING_ON = 5.0


@app.task(name="calltrack.remove_old")
def remove_old() -> None:
    """Remove old pages, deliveries and changes for a while, and leave the rest to the next message."""
    _, done = retention.remove(settings().retention, seconds=GOING_ON)
    if not done:
        remove_old.apply_async()
