"""What TrackDrive sends: its subscriptions post the call object, its UI webhooks what a user's template says.

Nothing is signed.
"""

from __future__ import annotations

from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson

from simulator.calls import Call
from simulator.letter import FORM, Letter, Shape
from simulator.trackdrive_records import EVENTS, hint, tokens, unfinished


def subscription(call: Call, event: str, zone: ZoneInfo) -> Letter:
    """The call object, with the event beside its fields."""
    fields = {"event": EVENTS.get(event, event), **unfinished(call, event, zone)}
    return Letter(call.id, event, orjson.dumps(fields))


def template_form(call: Call, event: str, zone: ZoneInfo) -> Letter:
    return Letter(call.id, event, urlencode(tokens(call, event, zone)).encode(), FORM)


def template_query(call: Call, event: str, zone: ZoneInfo) -> Letter:
    """A pixel: all in the URL, and an empty body."""
    return Letter(call.id, event, b"", query=urlencode(tokens(call, event, zone)), method="GET")


def call_ended_hint(call: Call, event: str, zone: ZoneInfo) -> Letter:
    """A "call ended" with half a record, whatever the event: who gets it must ask the API for the rest."""
    return Letter(call.id, event, orjson.dumps({"event": "call_ended", **hint(call, zone)}))


def unexpanded(call: Call, event: str, zone: ZoneInfo) -> Letter:
    """A template that TrackDrive did not fill in: it names no call, and nobody can use it."""
    fields = tokens(call, event, zone) | {"uuid": "[call_uuid]", "id": "[call_id]"}
    return Letter(call.id, event, urlencode(fields).encode(), FORM)


SHAPES: dict[str, Shape] = {
    "subscription": subscription,
    "template_form": template_form,
    "template_query": template_query,
    "call_ended_hint": call_ended_hint,
    "unexpanded": unexpanded,
}

#: all that a receiver can take at their word
USUAL_SHAPES = ("subscription", "template_form", "template_query")
