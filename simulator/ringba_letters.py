"""What Ringba's pixels send: a URL or a body that the customer wrote, with tokens in it that Ringba filled in.

Nothing is signed. A token without a value is an empty text, and nobody is told.
"""

from __future__ import annotations

from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson

from simulator.calls import Call
from simulator.letter import FORM, Letter, Shape
from simulator.ringba_records import tokens

#: what has happened → the event that a pixel is set on
EVENTS = {"initiated": "Incoming", "answered": "Connected", "completed": "Completed", "converted": "Converted"}

#: the others have no such word, and are ordered by their names
OWN_EVENTS = ("Payout", "Finalized", "Recording")

NO_ID = "[Call:InboundCallId]"


def pixel_get(call: Call, event: str, _: ZoneInfo) -> Letter:
    """The usual way: all in the URL, and an empty body."""
    return Letter(call.id, event, b"", query=urlencode(_fields(call, event)), method="GET")


def pixel_post_json(call: Call, event: str, _: ZoneInfo) -> Letter:
    return Letter(call.id, event, orjson.dumps(_fields(call, event)))


def pixel_post_form(call: Call, event: str, _: ZoneInfo) -> Letter:
    return Letter(call.id, event, urlencode(_fields(call, event)).encode(), FORM)


def pixel_unexpanded(call: Call, event: str, _: ZoneInfo) -> Letter:
    """Names no call: the token is still there, or nothing came of it. Nobody can use it."""
    fields = _fields(call, event) | {"inboundCallId": NO_ID if call.lead % 2 else ""}
    return Letter(call.id, event, b"", query=urlencode(fields), method="GET")


def _fields(call: Call, event: str) -> dict[str, str]:
    return tokens(call, EVENTS.get(event, event))


SHAPES: dict[str, Shape] = {
    "pixel_get": pixel_get,
    "pixel_post_json": pixel_post_json,
    "pixel_post_form": pixel_post_form,
    "pixel_unexpanded": pixel_unexpanded,
}

#: all that a receiver can take at their word
USUAL_SHAPES = ("pixel_get", "pixel_post_json", "pixel_post_form")
