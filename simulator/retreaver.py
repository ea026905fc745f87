"""A stand-in for Retreaver's call API: pages by number, chained by a Link header."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import ClassVar
from urllib.parse import urlencode

from simulator import retreaver_records as records
from simulator.calls import Call
from simulator.messages import Reply, Request, as_json
from simulator.rows import Row
from simulator.standin import Json, StandIn
from simulator.traffic import Limit

LIST = re.compile(r"/api/v([1-4])/calls\.json")
ONE = re.compile(r"/api/v([1-4])/calls/([^/]+)\.json")

OFFICIAL_HOST = "https://api.retreaver.com"
PER_PAGE = 25
MOST_PER_PAGE = 100

#: API key → the companies that it sees; a key that sees several must say which one
KEYS = {
    "sim-retreaver-key": {records.COMPANY},
    "sim-retreaver-agency-key": {records.COMPANY, records.COMPANY + 1},
}

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
        return ONE.sub(r"/api/v\1/calls/{uuid}.json", path)

    def refuse(self, status: int, text: str) -> Reply:
        return as_json({"error": text}, status)

    def answer(self, request: Request) -> Reply:
        refused = self._who_asks(request.params)
        if refused:
            return refused
        if match := LIST.fullmatch(request.path):
            return self._list(request, int(match[1]))
        if match := ONE.fullmatch(request.path):
            return self._one(match[2], int(match[1]))
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
