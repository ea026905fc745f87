"""A stand-in for Acme's API: what its docs promise, on this machine. Write it from the docs, not from the mapping."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from calltrack.testing.little import Call, LittleStandIn, Reply, Request, as_json


class AcmeStandIn(LittleStandIn):
    """`self.listed()` has the calls, oldest first; bad habits are added to the answers by themselves."""

    @property
    def settings(self) -> Mapping[str, str]:
        """What an account must have set. Small pages: there are few calls."""
        return {"api_key": "a-made-up-key", "page_size": "10"}

    def answer(self, request: Request) -> Reply:
        """CHANGE: the answer of Acme's API."""
        if request.headers.get("authorization") != f"Bearer {self.settings['api_key']}":
            return as_json({"error": "unauthorized"}, 401)
        if request.path == "/calls":
            return self._page(request.params)
        found = [call for call in self.listed() if request.path == f"/calls/{call.id}"]
        return as_json({"call": record(found[0])}) if found else as_json({"error": "not found"}, 404)

    def _page(self, asked: Mapping[str, str]) -> Reply:
        since, until = datetime.fromisoformat(asked["from"]), datetime.fromisoformat(asked["to"])
        found = [call for call in self.listed() if since <= call.started_at <= until]
        number, size = int(asked["page"]), int(asked["per_page"])
        shown = found[(number - 1) * size : number * size]
        pages = max(1, -(-len(found) // size))
        return as_json({"calls": [record(call) for call in shown], "meta": {"page": number, "pages": pages}})

    def truth(self, call: Call) -> dict[str, Any]:
        """What calltrack must know of the call in the end, by the names of `CallRecord`."""
        return {
            "external_id": call.id,
            "status": "completed",
            "caller_number": call.caller,
            "started_at": call.started_at,
            "duration_seconds": call.seconds,
            "revenue": call.revenue,
            "converted": call.converted,
        }


def record(call: Call) -> dict[str, Any]:
    """CHANGE: a call as Acme tells it."""
    return {
        "id": call.id,
        "status": "completed",
        "direction": "in",
        "caller": call.caller,
        "number": call.line,
        "started_at": call.started_at.isoformat(),
        "ended_at": call.ended_at.isoformat(),
        "seconds": call.seconds,
        "revenue": str(call.revenue),
        "converted": call.converted,
        "updated_at": call.changed_at.isoformat(),
    }
