"""A stand-in for TrackDrive's API: pages by cursor, local times with an offset, and calls that may be written to."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from simulator import trackdrive_records as records
from simulator import trackdrive_stats
from simulator.calls import Call
from simulator.cursors import Expired
from simulator.drifting import Drift
from simulator.habits import Habits
from simulator.messages import Reply, Request
from simulator.rows import Row
from simulator.standin import Json, StandIn
from simulator.trackdrive_desk import Desk
from simulator.trackdrive_replies import Page, enveloped, refused
from simulator.trackdrive_writes import wanted
from simulator.traffic import Limit
from simulator.world import World

WHEN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?: (UTC|[+-]\d{4}))?")

#: query parameter → what a call must then have
FILTERS: dict[str, Callable[[Call], str]] = {
    "offer_id": lambda call: str(call.campaign.number),
    "buyer_id": lambda call: str(call.buyer.number if call.buyer else ""),
    "traffic_source_id": lambda call: str(call.publisher.number if call.publisher else ""),
    "buyer_converted": lambda call: str(call.converted).lower(),
    "offer_converted": lambda call: str(call.converted).lower(),
    "either_converted": lambda call: str(call.converted).lower(),
    "has_recording": lambda call: str(bool(records.recording(call))).lower(),
    "in_progress": lambda _: "false",
}


class TrackDrive(StandIn):
    """Answers as `https://{subdomain}.trackdrive.com/api/v1` does."""

    name: ClassVar[str] = "trackdrive"
    base: ClassVar[str] = "/trackdrive/api/v1"
    usual_limits: ClassVar[tuple[Limit, ...]] = (Limit(60, 60),)
    unfilled_id: ClassVar[str] = "[call_uuid]"
    id_keys: ClassVar[tuple[str, ...]] = ("uuid", "id")
    drift: ClassVar[Drift] = Drift(nested=("traffic_source",), status="status", hides=("publisher", "status"))

    def __init__(self, world: World, habits: Habits, limits: Sequence[Limit] = ()) -> None:
        super().__init__(world, habits, limits)
        self.desk = Desk(self.writes)

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"subdomain": "sim-company", "public_key": "td-sim-public", "private_key": "td-sim-private"}

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.world.zone)

    def created(self, call: Call) -> datetime:
        return call.created_at

    def truth(self, call: Call) -> Json:
        return records.truth(call)

    def render_all(self) -> None:
        self._joined(self._rows.by_created)

    def route(self, path: str) -> str:
        return re.sub(r"/[^/]*\d[^/]*$", "/{id}", path)

    def refuse(self, status: int, text: str) -> Reply:
        return refused(status, text)

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != self._basic():
            return self.refuse(401, "These keys are not valid.")
        kind, _, rest = request.path.strip("/").partition("/")
        try:
            if kind == "calls":
                return self._calls(request, rest)
            if self.desk.has(kind):
                return self._other(request, kind, rest)
        except Expired as error:
            return self.refuse(410, str(error))
        except ValueError as error:
            return self.refuse(400 if request.method == "GET" else 422, str(error))
        return self.refuse(404, "Not found.")

    def _basic(self) -> str:
        keys = f"{self.credentials['public_key']}:{self.credentials['private_key']}"
        return f"Basic {b64encode(keys.encode()).decode()}"

    # ── calls ──

    def _calls(self, request: Request, rest: str) -> Reply:
        if request.method == "GET" and not rest:
            return self._list(request.params)
        if request.method == "GET" and rest == "stats":
            return self._stats(request.params)
        row = self._find(rest.removeprefix("update_call/"))
        if row is None:
            return self.refuse(404, "There is no such call.")
        if request.method in ("PUT", "POST"):
            self._update(row, request)
        self.listed([row])
        return enveloped("call", self._joined([row]))

    def _find(self, key: str) -> Row | None:
        """By uuid or number."""
        if not key.isdecimal():
            return self._rows.find(key)
        usable = (row for row in self._rows.by_created if row.flaw is None)
        return next((row for row in usable if row.call.number == int(key)), None)

    def _update(self, row: Row, request: Request) -> None:
        fields, done = wanted(row.call, request.json if isinstance(request.json, dict) else request.params)
        if done:
            self.rewrite(row, **fields)
            self.writes.update(["call.updated", *done])

    def _list(self, params: Mapping[str, str]) -> Reply:
        if params.get("order", "created_at") not in ("created_at", "id"):
            raise ValueError("order must be created_at or id.")
        now = self.now()
        page = Page.asked(params, now, self.habits)
        self.push_down()
        found = self.listing(self._matching(params), page.size, newest_first=params.get("order_dir") != "asc")
        rows = found.page(page.start(len(found), self.habits))
        self.listed(rows)
        body = b"[" + self._joined(rows) + b"]"
        if params.get("root") == "false":
            return Reply(200, body)
        metadata = page.metadata(len(found), now, self.habits)
        return Reply(200, orjson.dumps({"calls": orjson.Fragment(body), "metadata": metadata}))

    def _matching(self, params: Mapping[str, str]) -> list[Row]:
        """Oldest first. Both ends are included, to the second: `…:59.300` is after `…:59`."""
        rows = self._rows.between(self._moment(params, "created_at_from"), self._moment(params, "created_at_to"))
        for name, field in FILTERS.items():
            if name in params:
                rows = [row for row in rows if field(row.call) == params[name].lower()]
        return rows

    def _stats(self, params: Mapping[str, str]) -> Reply:
        if not {"created_at_from", "created_at_to"} <= params.keys():
            raise ValueError("created_at_from and created_at_to are required.")
        calls = [row.call for row in self._matching(params) if row.flaw is None]
        return enveloped("stats", orjson.dumps(trackdrive_stats.stats(calls, params, self.zone)))

    def _joined(self, rows: Sequence[Row]) -> bytes:
        return self.joined(rows, "call", partial(records.record, zone=self.zone, habits=self.habits))

    def _moment(self, params: Mapping[str, str], name: str) -> datetime | None:
        """With an offset, or else on the clocks of `time_zone`, or else on the account's."""
        if name not in params:
            return None
        match = WHEN.fullmatch(params[name])
        if match is None:
            raise ValueError(f"{name} must be formatted like 2016-01-01 12:25:15 -0500.")
        offset = "+0000" if match[2] == "UTC" else match[2]
        if offset:
            return datetime.fromisoformat(f"{match[1]}{offset}")
        return datetime.fromisoformat(match[1]).replace(tzinfo=self._zone_named(params.get("time_zone")))

    def _zone_named(self, name: str | None) -> ZoneInfo:
        try:
            return ZoneInfo(name) if name else self.zone
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("time_zone is not one that there is.") from None

    # ── what there is beside the calls ──

    def _other(self, request: Request, kind: str, thing_id: str) -> Reply:
        before = len(self.desk.subscriptions)
        reply = self.desk.answer(request, kind, thing_id, self.now().astimezone(self.zone), self.habits)
        if len(self.desk.subscriptions) > before:
            self.may_lose(self.desk.subscriptions, self.desk.subscriptions.list()[-1])
        return reply

    def targets(self, event: str) -> list[str]:
        """The URLs that are told of this event: those of the subscriptions that are still alive."""
        there = self.desk.subscriptions.list()
        return [each["target_url"] for each in there if each["active"] and each["event"] == event]
