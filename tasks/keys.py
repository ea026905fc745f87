"""Asking all workers whether they have a key."""

from __future__ import annotations

from typing import Any

from celery.worker.control import inspect_command
from kombu.exceptions import OperationalError

from calltrack.errors import TryLater
from calltrack.sync.connections import vault
from tasks.app import app

#: seconds in which a worker that lives answers
PATIENCE = 1.0


@inspect_command(args=[("key_id", str)], signature="<key_id>")
def knows_key(state: object, key_id: str) -> dict[str, bool]:  # noqa: ARG001 - Celery hands it in
    """Whether this worker opens what was sealed with the key."""
    return {"knows": vault().knows(key_id)}


def workers_without(key_id: str) -> list[str]:
    """The names of running workers that do not have this key. Raises `TryLater` where the broker is away."""
    try:
        replies: list[dict[str, Any]] = app.control.broadcast(
            "knows_key", arguments={"key_id": key_id}, reply=True, timeout=PATIENCE
        )
    except OperationalError:
        raise TryLater("The workers could not be asked, as the broker does not answer: try again later.") from None
    told = {worker: answer for reply in replies for worker, answer in reply.items()}
    return sorted(worker for worker, answer in told.items() if answer.get("knows") is not True)
