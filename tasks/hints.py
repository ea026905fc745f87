"""Hints become Celery messages here. Losing one is harmless: the sweeper finds the row."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Signature, chain, group
from kombu.exceptions import OperationalError

from calltrack import log, registry
from calltrack.sync.hints import Hint, Step
from tasks.app import app

logger = log.get(__name__)


def send(hints: Sequence[Hint]) -> None:
    """Publish the hints: those that are due now side by side, each later one with its delay."""
    known = [hint for hint in hints if _has_queue(hint)]
    now = [_signature(hint) for hint in known if not hint.delay]
    try:
        if now:
            (group(now) if len(now) > 1 else now[0]).apply_async()
        for hint in known:
            if hint.delay:
                _signature(hint).apply_async(countdown=hint.delay)
    except OperationalError:
        logger.warning("the broker is away: hints are left to the sweeper", hints=len(hints))


def deliveries(provider: str) -> None:
    """Say that deliveries of this provider wait. Raises kombu's `OperationalError` while the broker is away."""
    _signature(Hint(Step.DELIVERIES, provider)).apply_async(retry=False)


def _has_queue(hint: Hint) -> bool:
    """Not so where the package that brought the provider was removed: its rows wait until it is back."""
    return hint.step is Step.OPERATION or hint.provider in registry.names()


def _signature(hint: Hint) -> Signature:
    if hint.step is Step.DELIVERIES:
        return _task("process_deliveries", f"deliveries of {hint.provider}", provider=hint.provider)
    if hint.step is Step.OPERATION:
        return _task("continue_operation", hint.label, operation_id=hint.id)
    store = _task("store_page", hint.label, page_id=hint.id, provider=hint.provider)
    if hint.step is Step.STORE:
        return store
    return chain(_task("fetch_page", hint.label, page_id=hint.id, provider=hint.provider), store)


def _task(name: str, label: str, **kwargs: object) -> Signature:
    """A task's signature, with what operators read in Flower instead of its arguments."""
    return app.signature(f"calltrack.{name}", kwargs=kwargs, immutable=True, argsrepr=label, kwargsrepr="{}")
