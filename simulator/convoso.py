"""A stand-in for Convoso's API: a log by offset and limit, local times, and errors that come as success."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import ClassVar
from zoneinfo import ZoneInfo

import orjson

from simulator import convoso_records as records
from simulator.calls import CAMPAIGNS, Call
from simulator.drifting import Drift
from simulator.messages import Reply, Request, as_json
from simulator.rows import Listing, Row
from simulator.standin import Json, Render, StandIn
from simulator.traffic import Limit

MOST_PER_PAGE = 500
GREATEST_OFFSET = 40_000
BAD_OFFSET = 7231
NO_LOG_ID, UNKNOWN_LOG, NOTHING_TO_SET = 6032, 6033, 6036

EXTRA_FIELDS = ("extra_field_01", "extra_field_02")

#: query parameter → what a call must then have
FILTERS: dict[str, Callable[[Call], str]] = {
    "lead_id": lambda call: str(call.lead),
    "campaign_id": lambda call: str(call.campaign.number),
    "user_id": lambda call: str(call.agent.number),
    "agent_id": lambda call: str(call.agent.number),
    "status": lambda call: call.outcome,
    "disposition": lambda call: call.outcome,
    "phone_number": lambda call: call.customer.removeprefix("+1"),
    "call_type": records.call_type,
}


class Convoso(StandIn):
    """Answers as `https://api.convoso.com/v1` does."""

    name: ClassVar[str] = "convoso"
    base: ClassVar[str] = "/convoso/v1"
    usual_limits: ClassVar[tuple[Limit, ...]] = (Limit(10, 1),)
    unfilled_id: ClassVar[str] = "[call_log_id]"
    id_keys: ClassVar[tuple[str, ...]] = ("id", "call_id")
    drift: ClassVar[Drift] = Drift(
        nested=("campaign",), status="status", hides=("campaign_name", "status", "disposition")
    )

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"auth_token": "sim-convoso-token", "timezone": self.world.zone}

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.world.zone)

    def created(self, call: Call) -> str:
        """The local time as text: that is all that the list knows, so the repeated hour of autumn lies mixed."""
        return records.local(call.created_at, self.zone)

    def truth(self, call: Call) -> Json:
        return records.truth(call, self.zone)

    def render_all(self) -> None:
        for recordings in (False, True):
            self._joined_log(self._rows.by_created, recordings=recordings)

    def refuse(self, status: int, text: str) -> Reply:
        return as_json({"success": False, "code": status, "text": text}, status)

    def answer(self, request: Request) -> Reply:
        if request.params.get("auth_token") != self.credentials["auth_token"]:
            return self.refuse(401, "Invalid auth_token.")
        answers: dict[str, Callable[[Mapping[str, str]], Reply]] = {
            "/log/retrieve": self._log,
            "/lead/get-recordings": self._recordings,
            "/campaigns/search": self._campaigns,
            "/log/update": partial(self._update, names=EXTRA_FIELDS),
            "/revenue/update": partial(self._update, names=("revenue", "return")),
        }
        if request.path not in answers:
            return self.refuse(404, "Not found.")
        try:
            return answers[request.path](request.params)
        except ValueError as error:
            return self._wrong(400, str(error))

    def _wrong(self, code: int, text: str) -> Reply:
        """What is asked for is wrong: that comes as status 200, always."""
        return as_json({"success": False, "code": code, "text": text})

    # ── /log/retrieve ──

    def _log(self, params: Mapping[str, str]) -> Reply:
        offset, size = _whole(params, "offset", 0), _size(params, MOST_PER_PAGE)
        greatest = self.habits.capped_offset or GREATEST_OFFSET
        if offset > greatest:
            return self._wrong(BAD_OFFSET, f"The offset must be between 0 and {greatest:.0f}.")
        self.push_down()
        found = self.listing(self._found(params), size, newest_first=params.get("order") != "asc")
        shown = self._shown(found, offset, size)
        rows = self._joined_log(shown, recordings=params.get("include_recordings") == "1")
        head = {
            "offset": offset,
            "limit": size,
            "total_found": str(self._total(found, offset, size)),
            "entries": len(shown),
        }
        return _around(b'{"success":true,"data":', head, b'"results":[', rows, b"]}}")

    def _joined_log(self, rows: Sequence[Row], *, recordings: bool) -> bytes:
        dialect = "log with recordings" if recordings else "log"
        return self.joined(
            rows, dialect, partial(records.log_row, zone=self.zone, habits=self.habits, recordings=recordings)
        )

    def _found(self, params: Mapping[str, str]) -> list[Row]:
        """Oldest first. Without times it is today's calls, unless one is asked for by its id."""
        if "id" in params and "start_time" not in params and "end_time" not in params:
            row = self._rows.find(params["id"])
            return [row] if row else []
        since, until = _local_time(params, "start_time"), _local_time(params, "end_time")
        if since is None and until is None:
            since, until = records.today(self.now(), self.zone)
        return _filtered(self._rows.between(since, until), params)

    # ── /lead/get-recordings ──

    def _recordings(self, params: Mapping[str, str]) -> Reply:
        offset, size = _whole(params, "offset", 0), _size(params, 100)
        self.push_down()
        since, until = _local_time(params, "start_date", "%Y-%m-%d"), _local_time(params, "end_date", "%Y-%m-%d")
        until = until and f"{until} 23:59:59"
        found = self.listing(_filtered(self._rows.between(since, until), params), size, newest_first=True)
        shown = self._shown(found, offset, size)
        body = self.joined(shown, "recordings", _recording_row)
        tail = {"total": self._total(found, offset, size), "offset": offset, "limit": size}
        return _around(b'{"success":true,"data":[', None, b"", body, b"]," + orjson.dumps(tail)[1:])

    # ── /campaigns/search, /log/update, /revenue/update ──

    def _campaigns(self, _: Mapping[str, str]) -> Reply:
        return as_json({"success": True, "data": [records.campaign(each, self.zone) for each in CAMPAIGNS]})

    def _update(self, params: Mapping[str, str], names: Sequence[str]) -> Reply:
        """What is set here shows in no list."""
        row = self._rows.find(params.get("call_log_id", ""))
        if not params.get("call_log_id"):
            return self._wrong(NO_LOG_ID, "Missing Call Log ID")
        if row is None:
            return self._wrong(UNKNOWN_LOG, "No such Call Log")
        given = {name: params[name] for name in names if params.get(name)}
        if not given:
            return self._wrong(NOTHING_TO_SET, f"Either {' or '.join(names)} need to have value")
        if "revenue" in given:
            self.rewrite(row, revenue=_amount(given["revenue"]))
            self.writes["revenue.set"] += 1
        elif "return" not in given:
            self.rewrite(row, tags=given)
        self.writes["call.updated"] += 1
        return as_json({"success": True, "data": {"call_log_id": row.call.id}})

    # ── paging ──

    def _shown(self, found: Listing, offset: int, size: int) -> Sequence[Row]:
        if self.habits.endless_next and offset >= len(found):
            offset = max(0, len(found) - size)
        shown = found.page(offset)
        self.listed(shown)
        return shown

    def _total(self, found: Listing, offset: int, size: int) -> int:
        return max(len(found), offset + 2 * size) if self.habits.endless_next else len(found)


_recording_row: Render = records.recording_row


def _around(start: bytes, head: Json | None, before: bytes, rows: bytes, end: bytes) -> Reply:
    """A body around rows that are JSON already."""
    middle = orjson.dumps(head)[:-1] + b"," if head else b""
    return Reply(200, b"".join((start, middle, before, rows, end)))


def _filtered(rows: list[Row], params: Mapping[str, str]) -> list[Row]:
    for name, field in FILTERS.items():
        if name in params:
            rows = [row for row in rows if field(row.call) == params[name]]
    return rows


def _size(params: Mapping[str, str], default: int) -> int:
    return min(MOST_PER_PAGE, max(1, _whole(params, "limit", default)))


def _whole(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number.")
    return int(text)


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("revenue must be an amount.") from None


def _local_time(params: Mapping[str, str], name: str, form: str = "%Y-%m-%d %H:%M:%S") -> str | None:
    """A bound, as comparable with local times as they are told."""
    if name not in params:
        return None
    try:
        return datetime.strptime(params[name], form).replace(tzinfo=UTC).strftime(form)
    except ValueError:
        raise ValueError(f"{name} must be written as {WRITTEN[form]}.") from None


WRITTEN = {"%Y-%m-%d": "YYYY-MM-DD", "%Y-%m-%d %H:%M:%S": "YYYY-MM-DD HH:MM:SS"}
