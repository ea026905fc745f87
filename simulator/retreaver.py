"""A stand-in for Retreaver's API: pages by number, chained by a Link header; numbers, campaigns, reports, tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlencode

from simulator import retreaver_records as records
from simulator import retreaver_things as things
from simulator.calls import CAMPAIGNS, Call
from simulator.drifting import Drift
from simulator.habits import Habits
from simulator.messages import Reply, Request, as_json
from simulator.rows import Row
from simulator.shelf import Shelf
from simulator.standin import Json, StandIn
from simulator.traffic import Limit
from simulator.world import World

LIST = re.compile(r"/api/v([1-4])/calls\.json")
ONE = re.compile(r"/api/v([1-4])/calls/([^/]+)\.json")
NUMBER = re.compile(r"/numbers/([^/]+)\.json")
CAMPAIGN = re.compile(r"/campaigns/(cid/[^/]+|[^/]+)\.json")
#: on a host of its own, in truth
DATA_WRITING = "/data_writing"
REPORTS = "/api/v1/reports.json"

OFFICIAL_HOST = "https://api.retreaver.com"
PER_PAGE = 25
MOST_PER_PAGE = 100

#: API key → the companies that it sees; a key that sees several must say which one
KEYS = {
    "sim-retreaver-key": {records.COMPANY},
    "sim-retreaver-agency-key": {records.COMPANY, records.COMPANY + 1},
}

#: opens data writing, and nothing else
POSTBACK_KEY = "sim-retreaver-postback-key"

LONGEST_REPORT = timedelta(days=730)

#: query parameter → what a call must then have
FILTERS: dict[str, Callable[[Call], str | None]] = {
    "caller": lambda call: call.customer,
    "client_cid": lambda call: call.campaign.code,
    "client_afid": lambda call: call.publisher.code if call.publisher else None,
    "client_tid": lambda call: call.buyer.code if call.buyer else None,
}


class Retreaver(StandIn):
    """Answers as `https://api.retreaver.com` does."""

    name: ClassVar[str] = "retreaver"
    base: ClassVar[str] = "/retreaver"
    usual_limits: ClassVar[tuple[Limit, ...]] = (Limit(100, 60),)
    unfilled_id: ClassVar[str] = "[call_uuid]"
    id_keys: ClassVar[tuple[str, ...]] = ("uuid",)
    drift: ClassVar[Drift] = Drift(nested=("campaign_name",), status="status", hides=("campaign_name", "status"))

    def __init__(self, world: World, habits: Habits, limits: Sequence[Limit] = ()) -> None:
        super().__init__(world, habits, limits)
        self.numbers = Shelf("number", self.writes)
        for place, campaign in enumerate(CAMPAIGNS[:3]):
            asked = {"type": "Toll-free", "cid": campaign.code, "afid": "p00"}
            self.numbers.put(things.number(5 + place, asked, world.now))

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"api_key": "sim-retreaver-key", "company_id": str(records.COMPANY)}

    def created(self, call: Call) -> datetime:
        return call.created_at

    def truth(self, call: Call) -> Json:
        return records.truth(call)

    def render_all(self) -> None:
        self.joined(self._rows.by_created, "v2", self._render_as(2))

    def route(self, path: str) -> str:
        path = ONE.sub(r"/api/v\1/calls/{uuid}.json", path)
        return CAMPAIGN.sub("/campaigns/{id}.json", NUMBER.sub("/numbers/{id}.json", path))

    def refuse(self, status: int, text: str) -> Reply:
        return as_json({"error": text}, status)

    def answer(self, request: Request) -> Reply:
        if request.path == DATA_WRITING:
            return self._write_data(request.params)
        refused = self._who_asks(request.params)
        if refused:
            return refused
        if match := LIST.fullmatch(request.path):
            return self._list(request, int(match[1]))
        if match := ONE.fullmatch(request.path):
            return self._one(match[2], int(match[1]))
        try:
            return self._operate(request)
        except ValueError as error:
            return self.refuse(400, str(error))

    def _operate(self, request: Request) -> Reply:
        method, path = request.method, request.path
        if path == "/numbers.json":
            return self._buy(request.json) if method == "POST" else self._numbers(request.params)
        if match := NUMBER.fullmatch(path):
            return self._number(match[1], method)
        if path == "/campaigns.json" and method == "GET":
            return as_json([{"campaign": things.campaign(each, self.world.now)} for each in CAMPAIGNS])
        if (match := CAMPAIGN.fullmatch(path)) and method == "GET":
            found = things.find_campaign(match[1])
            return as_json({"campaign": things.campaign(found, self.world.now)}) if found else self._nothing()
        return self._report(request.params) if path == REPORTS else self._nothing()

    def _nothing(self) -> Reply:
        return self.refuse(404, "Not found.")

    def _who_asks(self, params: Mapping[str, str]) -> Reply | None:
        companies = KEYS.get(params.get("api_key", ""))
        if companies is None:
            return self.refuse(401, "Invalid API key.")
        company = params.get("company_id", "")
        if company not in map(str, companies) and (company or len(companies) > 1):
            return self.refuse(403, "This key needs the company_id of a company that it has access to.")
        return None

    def _one(self, call_id: str, version: int) -> Reply:
        row = self._rows.find(call_id)
        if row is None:
            return self.refuse(404, "Call not found.")
        self.listed([row])
        return Reply(200, self.joined([row], f"v{version}", self._render_as(version)))

    def _list(self, request: Request, version: int) -> Reply:
        self.push_down()
        params = request.params
        try:
            number, size = (
                max(1, _whole(params, "page", 1)),
                min(MOST_PER_PAGE, max(1, _whole(params, "per_page", PER_PAGE))),
            )
            listing = self.listing(self._matching(params), size, newest_first=_newest_first(params))
        except ValueError as error:
            return self.refuse(400, str(error))
        last = max(1, -(-len(listing) // size))
        rows = listing.page(((min(number, last) if self.habits.endless_next else number) - 1) * size)
        self.listed(rows)
        body = b"[" + self.joined(rows, f"v{version}", self._render_as(version)) + b"]"
        return Reply(200, body, self._links(request, number, last))

    def _matching(self, params: Mapping[str, str]) -> list[Row]:
        """Oldest first, by creation or by change. `updated_at_start` and `…_end` do nothing: no table has them."""
        since, until = _moment(params, "created_at_start"), _moment(params, "created_at_end")
        company = params.get("company_id")
        if company and int(company) != records.COMPANY:
            return []
        if params.get("sort_by") != "updated_at":
            rows = self._rows.between(since, until)
        elif since is None and until is None:
            rows = self._rows.by_updated
        else:
            rows = sorted(self._rows.between(since, until), key=lambda row: row.call.updated_at)
        for name, field in FILTERS.items():
            if name in params:
                rows = [row for row in rows if field(row.call) == params[name]]
        return rows

    def _render_as(self, version: int) -> partial[Json]:
        return partial(records.record, version=version, habits=self.habits)

    # ── numbers, reports, tags ──

    def _numbers(self, params: Mapping[str, str]) -> Reply:
        wanted = {"cid": params.get("client_cid"), "afid": params.get("client_afid"), "sid": params.get("sub_id")}
        asked = {name: value for name, value in wanted.items() if value is not None}
        return as_json([{"number": each} for each in self.numbers.list() if asked.items() <= each.items()])

    def _number(self, number_id: str, method: str) -> Reply:
        """A number that is given back is gone at once here; at Retreaver that may take a day."""
        if method == "DELETE":
            return Reply(204, b"") if self.numbers.remove(number_id) else self._nothing()
        found = self.numbers.get(number_id)
        return as_json({"number": found}) if found else self._nothing()

    def _buy(self, body: Any) -> Reply:
        asked = body.get("number") if isinstance(body, dict) else None
        if not isinstance(asked, dict) or asked.get("type") not in things.KINDS:
            raise ValueError(f"A number needs a type: {' or '.join(things.KINDS)}.")
        if asked.get("cid") and things.find_campaign(f"cid/{asked['cid']}") is None:
            raise ValueError("There is no campaign with this cid.")
        number = things.number(5000 + self.writes["number.added"], asked, self.now())
        return as_json({"number": self.numbers.add(number)}, 201)

    def _report(self, params: Mapping[str, str]) -> Reply:
        since, until = _moment(params, "created_at_start"), _moment(params, "created_at_end")
        if since is None or until is None or until - since >= LONGEST_REPORT:
            raise ValueError("created_at_start and created_at_end are required, less than two years apart.")
        if params.get("domain") != "calls" or params.get("facet") not in things.FACETS:
            raise ValueError(f"domain must be calls, and facet one of {', '.join(things.FACETS)}.")
        size, number = max(1, _whole(params, "per_page", PER_PAGE)), max(1, _whole(params, "page", 1))
        calls = [row.call for row in self._rows.between(since, until) if row.flaw is None]
        rows = things.report(calls, params["facet"])
        shown = rows[(number - 1) * size : number * size]
        return as_json({"count": len(shown), "count_total": len(rows), "data": shown})

    def _write_data(self, params: Mapping[str, str]) -> Reply:
        """Tags on a call, found by its id or by who calls; some of them say how it went."""
        if params.get("key") != POSTBACK_KEY:
            return self.refuse(401, "Invalid key.")
        name = "call_uuid" if "call_uuid" in params else "caller_number"
        if not params.get(name):
            return self.refuse(400, "call_uuid or caller_number is required.")
        tags = {tag: value for tag, value in params.items() if tag not in ("key", "call_uuid", "caller_number")}
        try:
            fields = {tag: read(tags[tag]) for tag, read in TELLING.items() if tag in tags}
        except ValueError as error:
            return self.refuse(400, str(error))
        row = self._rows.find(params[name]) if name == "call_uuid" else self._latest_from(params[name])
        if row:
            self.rewrite(row, tags=tags, **fields)
        self.writes.update(["call.updated" if row else "tags.stored", *(f"{tag}.set" for tag in fields)])
        status = "Completed call found, tags were added." if row else "No call found, tags were stored for later."
        return as_json({name: params[name], "tag_values": tags, "status": status})

    def _latest_from(self, caller: str) -> Row | None:
        rows = (row for row in reversed(self._rows.by_created) if row.flaw is None)
        return next((row for row in rows if row.call.customer == caller), None)

    def _links(self, request: Request, number: int, last: int) -> tuple[tuple[str, str], ...]:
        """The header as it is: the last page before the next one, on the official host, with the key in it."""
        following = number if self.habits.repeated_cursor and number > 1 else number + 1
        if number >= last and not self.habits.endless_next:
            return ()
        host = f"http://localhost:{request.port}/_simulator/elsewhere" if self.habits.other_host_link else OFFICIAL_HOST
        links = [
            f'<{OFFICIAL_HOST}{request.path}?{_query(request.params, last)}>; rel="last"',
            f'<{host}{request.path}?{_query(request.params, following)}>; rel="next"',
        ]
        return (("Link", ", ".join(links)),)


def _money(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("revenue and payout must be amounts.") from None


#: tags that change what the call itself says → how they are read
TELLING: dict[str, Callable[[str], Any]] = {
    "revenue": _money,
    "payout": _money,
    "converted": lambda text: text.lower() in ("true", "1", "yes"),
}


def _query(params: Mapping[str, str], number: int) -> str:
    return urlencode({**params, "page": str(number)})


def _newest_first(params: Mapping[str, str]) -> bool:
    """Sorted by change it is always newest first, whatever is asked for."""
    return params.get("sort_by") == "updated_at" or params.get("order") != "asc"


def _whole(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number.")
    return int(text)


def _moment(params: Mapping[str, str], name: str) -> datetime | None:
    """RFC 3339, with an offset or Z."""
    if name not in params:
        return None
    try:
        moment = datetime.fromisoformat(params[name])
    except ValueError:
        raise ValueError(f"{name} must be a time as RFC 3339 writes it.") from None
    if moment.tzinfo is None:
        raise ValueError(f"{name} needs an offset from UTC.")
    return moment
