"""Processing landed webhook deliveries."""

from __future__ import annotations

from calltrack.sync import deliveries
from tasks.app import app
from tasks.hints import send


@app.task(name="calltrack.process_deliveries")
def process_deliveries(provider: str) -> None:
    """Process the provider's waiting deliveries, batch after batch; leave the rest of a flood to the next message."""
    send(deliveries.drain(provider))
