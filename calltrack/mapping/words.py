"""The words by which providers say where a call stands, and what their events mean.

A provider adds its own: `{**STATUSES, "na": Status.NO_ANSWER}`. A word that nobody knows is `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from calltrack.mapping.text import text
from calltrack.model import Direction, Finality, Status

STATUSES: Mapping[str, Status] = {
    "initiated": Status.INITIATED,
    "queued": Status.INITIATED,
    "started": Status.INITIATED,
    "ringing": Status.RINGING,
    "answered": Status.IN_PROGRESS,
    "in_progress": Status.IN_PROGRESS,
    "connected": Status.IN_PROGRESS,
    "completed": Status.COMPLETED,
    "complete": Status.COMPLETED,
    "finished": Status.COMPLETED,
    "ended": Status.COMPLETED,
    "no_answer": Status.NO_ANSWER,
    "missed": Status.NO_ANSWER,
    "busy": Status.BUSY,
    "voicemail": Status.VOICEMAIL,
    "canceled": Status.CANCELED,
    "cancelled": Status.CANCELED,
    "abandoned": Status.CANCELED,
    "failed": Status.FAILED,
    "error": Status.FAILED,
}

DIRECTIONS: Mapping[str, Direction] = {
    **{direction.value: direction for direction in Direction},
    "in": Direction.INBOUND,
    "out": Direction.OUTBOUND,
}


class Event(NamedTuple):
    """What the type of an event tells, apart from what the delivery holds."""

    status: Status | None = None
    finality: Finality | None = None
    converted: bool | None = None


_STARTED = Event(Status.INITIATED, Finality.STARTED)
_ANSWERED = Event(Status.IN_PROGRESS, Finality.ANSWERED)
_COMPLETED = Event(Status.COMPLETED, Finality.ENDED)
#: decided after the call, and says nothing about how the call went
_AFTERWARDS = Event(finality=Finality.ENDED)

EVENTS: Mapping[str, Event] = {
    "initiated": _STARTED,
    "start": _STARTED,
    "started": _STARTED,
    "incoming": _STARTED,
    "selected": _STARTED,
    "ringing": Event(Status.RINGING, Finality.STARTED),
    "answer": _ANSWERED,
    "answered": _ANSWERED,
    "connected": _ANSWERED,
    "in_progress": _ANSWERED,
    "complete": _COMPLETED,
    "completed": _COMPLETED,
    "end": _COMPLETED,
    "ended": _COMPLETED,
    "end_of_call": _COMPLETED,
    "finished": _COMPLETED,
    "hangup": _COMPLETED,
    "converted": Event(finality=Finality.ENDED, converted=True),
    "payout": _AFTERWARDS,
    "recording": _AFTERWARDS,
    "finalized": _AFTERWARDS,
}

_SPACES = str.maketrans(" .-", "___")


def word(value: object) -> str:
    """A word in one spelling: "Call.Completed", "call-completed" and "completed" are one. "" where there is none."""
    return _spelled(value) if isinstance(value, str) else ""


@lru_cache(maxsize=1000)
def _spelled(value: str) -> str:
    return (text(value) or "").lower().translate(_SPACES).removeprefix("call_")


_UNHEARD = Event()


def event_of(value: object, events: Mapping[str, Event] = EVENTS) -> Event:
    """What this type of event tells. An unknown one tells nothing, and is no fault."""
    return events.get(word(value), _UNHEARD)


@lru_cache(maxsize=1000)
def own_statuses(codes: str) -> Mapping[str, Status]:
    """An account's own codes, `VM=voicemail, NOANS=no_answer`. Raises `ValueError` that says what to write instead."""
    statuses = {}
    for part in filter(None, (piece.strip() for piece in codes.split(","))):
        code, _, status = (side.strip() for side in part.partition("="))
        if not code or status not in set(Status):
            raise ValueError(f"{part!r} names no status: write CODE=status, with one of {', '.join(Status)}")
        statuses[word(code)] = Status(status)
    return statuses
