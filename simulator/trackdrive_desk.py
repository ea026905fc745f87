"""What a TrackDrive account has beside its calls: subscriptions, phone numbers and offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from simulator.calls import CAMPAIGNS
from simulator.habits import Habits
from simulator.messages import Reply, Request, as_json
from simulator.shelf import Json, Shelf
from simulator.trackdrive_replies import Page, enveloped, refused

#: what a subscription may be about
EVENTS = {
    *("new_call", "call_ringing", "call_forwarded", "call_ended", "call_changed"),
    *("new_lead", "lead_ended", "lead_converted", "lead_opted_out", "lead_changed", "incoming_text_message"),
}

#: what may be said of a number, when it is bought and later
SAID = ("name", "offer_id", "traffic_source_id", "active")


class Desk:
    """The shelves, and who asks for something of them."""

    def __init__(self, writes: Counter[str]) -> None:
        self.subscriptions = Shelf("subscription", writes, first=9001)
        self.numbers = Shelf("number", writes, first=4_800_001)
        self.offers = Shelf("offer", writes)
        self._shelves = {
            "subscriptions": self.subscriptions,
            "phone_numbers": self.numbers,
            "offers": self.offers,
        }
        #: what makes a new thing of what a client says; offers are made in TrackDrive only
        self._makers: dict[str, Callable[[Mapping[str, Any]], Json]] = {
            "subscriptions": _subscription,
            "phone_numbers": self._number,
        }
        for campaign in CAMPAIGNS:
            self.offers.put({"id": campaign.number, "name": campaign.name, "active": True})
        for last in range(100, 105):
            self.numbers.put({"number": f"+1800555{last:04}", "name": f"Line {last}", "active": True})

    def has(self, kind: str) -> bool:
        return kind in self._shelves

    def answer(self, request: Request, kind: str, thing_id: str, now: datetime, habits: Habits) -> Reply:
        """Raises `ValueError` for what cannot be done."""
        shelf, given = self._shelves[kind], request.json if isinstance(request.json, dict) else request.params
        if not thing_id and request.method == "GET":
            page = Page.asked(request.params, now, habits)
            start = page.start(len(shelf), habits)
            there = shelf.list()[start : start + page.size]
            return as_json({kind: there, "metadata": page.metadata(len(shelf), now, habits)})
        if not thing_id and request.method == "POST" and kind in self._makers:
            made = shelf.add(self._makers[kind](given) | {"created_at": now.isoformat(timespec="milliseconds")})
            return enveloped(kind.removesuffix("s"), orjson.dumps(made), 201)
        thing = self._thing(request.method, kind, thing_id, given)
        if thing is None:
            return refused(404, f"There is no such thing among the {kind}, or no such thing to be done with it.")
        return enveloped(kind.removesuffix("s"), orjson.dumps(thing))

    def _thing(self, method: str, kind: str, thing_id: str, given: Mapping[str, Any]) -> Json | None:
        """The one with this id, whatever was done with it: what was deleted is told once more."""
        shelf = self._shelves[kind]
        if method == "DELETE" and kind in self._makers:
            return shelf.remove(thing_id)
        if method == "PUT" and shelf is self.numbers:
            return shelf.change(thing_id, **_said(given))
        return shelf.get(thing_id) if method == "GET" else None

    def _number(self, given: Mapping[str, Any]) -> Json:
        """A number that nobody has yet: the one that was asked for, or any."""
        taken = {each["number"] for each in self.numbers.list()}
        number = given.get("number") or next(
            free for last in range(10_000) if (free := f"+1888555{last:04}") not in taken
        )
        if number in taken:
            raise ValueError("number has already been taken.")
        return {"number": str(number), "active": True, **_said(given)}


def _said(given: Mapping[str, Any]) -> Json:
    return {name: given[name] for name in SAID if name in given}


def _subscription(given: Mapping[str, Any]) -> Json:
    url, event = str(given.get("target_url", "")), given.get("event")
    if not url.startswith(("http://", "https://")):
        raise ValueError("target_url must be a URL.")
    if event not in EVENTS:
        raise ValueError(f"event must be one of {', '.join(sorted(EVENTS))}.")
    fields = given.get("trigger_fields") or {}
    return {"target_url": url, "event": event, "trigger_fields": fields, "active": True}
