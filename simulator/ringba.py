"""A stand-in for Ringba's API: call logs asked for by POST, column by column, and writes that add up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from itertools import count
from typing import Any, ClassVar
from uuid import UUID

import orjson

from simulator import ringba_asked as asking
from simulator import ringba_records as records
from simulator import ringba_things as things
from simulator.calls import AREAS, CAMPAIGNS, Call
from simulator.drifting import Drift
from simulator.habits import Habits
from simulator.messages import Reply, Request, as_json
from simulator.ringba_asked import Refused
from simulator.rows import Row
from simulator.shelf import Shelf
from simulator.standin import Json, StandIn
from simulator.traffic import Limit
from simulator.world import World

PATH = re.compile(r"/([^/]+)/(.+)")
IDS = re.compile(r"/(numbers|campaigns|EventCallBacks)/[^/]+$", re.IGNORECASE)

MOST_PER_PAGE = 1000
PER_PAGE = 100

#: only calls that began less than this ago may still be under way
RECENT = timedelta(hours=1)

NO_NUMBER = "could not allocate new number from telco provider"

#: the rest of a path, the body → the answer
Route = Callable[[str, list[str], Any], Reply]


class Ringba(StandIn):
    """Answers as `https://api.ringba.com/v2` does.

    Pixels are published for version 1 of the API only (`/{accountId}/EventCallBacks`); here they lie under the same
    base.
    """

    name: ClassVar[str] = "ringba"
    base: ClassVar[str] = "/ringba/v2"
    usual_limits: ClassVar[tuple[Limit, ...]] = (Limit(5, 1), Limit(80, 60))
    unfilled_id: ClassVar[str] = "[Call:InboundCallId]"
    id_keys: ClassVar[tuple[str, ...]] = ("inboundCallId",)
    drift: ClassVar[Drift] = Drift(nested=("campaignName",), status="endCallSource", hides=("campaign_name",))

    def __init__(self, world: World, habits: Habits, limits: Sequence[Limit] = ()) -> None:
        super().__init__(world, habits, limits)
        self.numbers = Shelf("number", self.writes)
        self.pixels = Shelf("pixel", self.writes)
        self._campaigns = Shelf("campaign", self.writes)
        self._serials = count()
        #: calls that were told as under way, and those of them that are over now
        self._ending: set[str] = set()
        self._over: set[str] = set()
        for campaign in CAMPAIGNS:
            self._campaigns.put(things.campaign(records.party_id("CA", campaign), campaign.name))
        for area, campaign in zip(things.TOLL_FREE, CAMPAIGNS[:3], strict=False):
            self.numbers.put(self._number(area, records.party_id("CA", campaign)))

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"api_token": "sim-ringba-token", "account_id": records.ACCOUNT}

    def created(self, call: Call) -> datetime:
        return call.created_at

    def truth(self, call: Call) -> Json:
        return records.truth(call, live=self.is_live(call))

    def render_all(self) -> None:
        self._told(self._rows.by_created, tuple(records.COLUMNS))

    def route(self, path: str) -> str:
        return IDS.sub(r"/\1/{id}", path).replace(f"/{records.ACCOUNT}/", "/{accountId}/")

    def refuse(self, status: int, text: str) -> Reply:
        body = {"transactionId": self._transaction(), "message": text, "messageCode": 0, "errors": [text]}
        return as_json({"isSuccessful": False, **body}, status)

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Token {self.credentials['api_token']}":
            return self.refuse(401, "Authorization has been denied for this request.")
        if request.path == "/ringbaaccounts":
            return self._ok(account=[{"accountId": records.ACCOUNT, "name": "Simulated account"}])
        place = PATH.fullmatch(request.path)
        if place is None or place[1] != records.ACCOUNT:
            return self.refuse(403, "This token has no access to this account.")
        kind, *rest = place[2].split("/")
        try:
            return self._routes.get(kind, _nowhere)(request.method, rest, request.json)
        except Refused as refused:
            return self.refuse(refused.status, str(refused))

    @property
    def _routes(self) -> dict[str, Route]:
        return {
            "calllogs": self._call_logs,
            "insights": self._insights,
            "calls": self._write,
            "campaigns": self._campaign,
            "numbers": self._numbers,
            "EventCallBacks": self._pixels,
        }

    def _ok(self, **fields: Any) -> Reply:
        return as_json({"transactionId": self._transaction(), **fields})

    def _transaction(self) -> str:
        digest = blake2b(str(self.traffic.requests).encode(), digest_size=16).digest()
        return f"TR{UUID(bytes=digest, version=4)}"

    # ── limits ──

    def _too_many(self, wait: float) -> Reply:
        """Two ways to say it: 429, or status 200 with the fact in the body."""
        body = {
            "isRateLimited": True,
            "exceedingRateLimit": True,
            "rateLimitedResource": "Reporting",
            "message": "You are exceeding the rate limit of this resource.",
            "rateLimit": {"perMinute": {"limit": 80, "currentCount": self.traffic.most_in_60s}},
        }
        if self.habits.limit_in_body:
            return as_json(body)
        return as_json(body, 429, super()._too_many(wait).headers)

    # ── calls under way ──

    def is_live(self, call: Call) -> bool:
        """Whether the call is told as one that is still going on."""
        now = self.now()
        if call.ended_at > now:
            return True
        restless = call.whim(7) < self.habits.live_calls and now - call.started_at < RECENT
        return restless and call.id not in self._over

    def listed(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.flaw is None and row.call.id not in self._ending and self.is_live(row.call):
                self._ending.add(row.call.id)
                self._later(partial(self._end, row.call.id))
        super().listed(rows)

    def _end(self, call_id: str, _: datetime) -> None:
        self._over.add(call_id)

    # ── call logs ──

    def _call_logs(self, method: str, rest: list[str], body: Any) -> Reply:
        match method, rest:
            case "GET", ["columns"]:
                return self._ok(isSuccessful=True, columns=[things.column(name) for name in records.ALL_COLUMNS])
            case "POST", []:
                return self._list(asking.an_object(body))
            case "POST", ["detail"]:
                return self._details(asking.an_object(body))
        raise Refused(404, "No such resource.")

    def _list(self, asked: Json) -> Reply:
        self.push_down()
        columns = asking.columns(asked, "valueColumns") or list(records.COLUMNS)
        size = max(1, min(MOST_PER_PAGE, asking.whole(asked, "size", PER_PAGE)))
        rows, is_partial = self._cut(self._matching(asked), asked)
        rows, newest_first = self._ordered(rows, asking.order(asked))
        listing = self.listing(rows, size, newest_first=newest_first)
        offset = self._offset(asked)
        beyond = self.habits.endless_next and offset >= len(listing)
        shown = listing.page(max(0, len(listing) - size) if beyond else offset)[:size]
        told = self._told(shown, columns)
        self.listed(shown)
        total = max(len(listing), offset + 2 * size) if self.habits.endless_next else len(listing)
        return self._report(told, total, is_partial=is_partial)

    def _offset(self, asked: Json) -> int:
        offset, most = asking.whole(asked, "offset", 0), self.habits.capped_offset
        if most and offset > most:
            raise Refused(400, f"The offset must be no greater than {most:.0f}.")
        return offset

    def _report(self, rows: bytes, total: int, *, is_partial: bool) -> Reply:
        head = orjson.dumps({"isSuccessful": True, "transactionId": self._transaction()})[:-1]
        flag = b"true" if is_partial else b"false"
        report = b',"report":{"partialResult":%s,"records":[%s],"totalCount":%d}}' % (flag, rows, total)
        return Reply(200, head + report)

    def _told(self, rows: Sequence[Row], columns: Sequence[str]) -> bytes:
        """The records as the inside of a JSON list; of a call under way less is known."""
        dialect = ",".join(columns)
        over = partial(records.record, columns=columns, habits=self.habits, live=False)
        live = partial(records.record, columns=columns, habits=self.habits, live=True)
        each = [(row, self.is_live(row.call)) for row in rows]
        return b",".join(
            [
                self.joined([row], f"{dialect} live", live) if is_live else self.joined([row], dialect, over)
                for row, is_live in each
            ]
        )

    def _matching(self, asked: Json) -> list[Row]:
        """Oldest first."""
        rows = self._rows.between(*asking.window(asked))
        for either in asking.filters(asked):
            rows = [row for row in rows if any(each.meets(self._value(row.call, each.column)) for each in either)]
        return rows

    def _value(self, call: Call, column: str) -> Any:
        return records.values(call, live=self.is_live(call)).get(column)

    def _ordered(self, rows: list[Row], order: list[tuple[str, bool]]) -> tuple[list[Row], bool]:
        """The rows, and whether they are to be read backwards."""
        if [name for name, _ in order] == ["callDt"]:
            return rows, order[0][1]
        for name, downwards in reversed(order):
            key = partial(self._value, column=name)
            rows = sorted(rows, key=lambda row, key=key: asking.sortable(key(row.call)), reverse=downwards)  # type: ignore[misc]
        return rows, False

    def _cut(self, rows: list[Row], asked: Json) -> tuple[list[Row], bool]:
        """Of a long window some rows are missing, and the total counts only those that are there."""
        since, until = asking.window(asked)
        if not self.habits.partial_result or until - since <= timedelta(hours=self.habits.partial_result):
            return rows, False
        return [row for place, row in enumerate(rows) if place % 3], True

    def _details(self, asked: Json) -> Reply:
        """Of ids that nobody knows nothing is said."""
        rows = [row for row in map(self._rows.find, asking.ids(asked)) if row]
        told = [records.detail(row.call, self.habits, live=self.is_live(row.call)) for row in rows]
        self.listed(rows)
        return self._ok(isSuccessful=True, report={"records": told})

    def _insights(self, method: str, rest: list[str], body: Any) -> Reply:
        if method != "POST" or rest:
            raise Refused(404, "No such resource.")
        asked = asking.an_object(body)
        groups, wanted = asking.columns(asked, "groupByColumns"), asking.sums(asked)
        parts: dict[tuple[Any, ...], list[Call]] = {}
        for row in self._matching(asked):
            if row.flaw is None:
                parts.setdefault(tuple(self._value(row.call, name) for name in groups), []).append(row.call)
        told = [
            {**dict(zip(groups, key, strict=True)), **{name: records.INSIGHTS[name](some) for name in wanted}}
            for key, some in parts.items()
        ]
        most = asking.whole(asked, "maxResultsPerGroup", MOST_PER_PAGE)
        return self._ok(isSuccessful=True, report={"partialResult": False, "records": told[:most]})

    # ── writes on a call ──

    def _write(self, method: str, rest: list[str], body: Any) -> Reply:
        write = {"annotate": self._annotate, "payments": self._adjust, "payments/override": self._override}
        what, asked = "/".join(rest), asking.an_object(body)
        if method != "POST" or what not in write:
            raise Refused(404, "No such resource.")
        row = self._rows.find(str(asked.get("inboundCallId")))
        if row is None:
            raise Refused(404, "There is no call with this inboundCallId.")
        write[what](row, asked)
        return self._ok(isSuccessful=True)

    def _annotate(self, row: Row, asked: Json) -> None:
        """Tags on the call, which adjust nothing."""
        row.call.tags = {**(row.call.tags or {}), **asking.tags(asked)}
        row.rendered.clear()
        self.writes["call.updated"] += 1

    def _adjust(self, row: Row, asked: Json) -> None:
        """Relative: sent twice it is twice as much. One of the names is misspelt, and understood only so."""
        by = asking.amounts(asked, {"revenue": "adjustConverionByAmount", "payout": "adjustPayoutByAmount"})
        self._pay(row, {name: (getattr(row.call, name) or Decimal(0)) + amount for name, amount in by.items()})
        self.writes.update(["call.updated", *(f"{name}.added" for name in by)])

    def _override(self, row: Row, asked: Json) -> None:
        """Absolute."""
        to = asking.amounts(asked, {"revenue": "newConversionAmount", "payout": "newPayoutAmount"})
        self._pay(row, to)
        self.writes.update(["call.updated", *(f"{name}.set" for name in to)])

    def _pay(self, row: Row, amounts: dict[str, Decimal]) -> None:
        if any(amount < 0 for amount in amounts.values()):
            raise Refused(400, f"Conversion would be brought below zero, the max refund is ${row.call.revenue or 0}")
        converted = {"converted": amounts["revenue"] > 0} if "revenue" in amounts else {}
        self.rewrite(row, **amounts, **converted)

    # ── numbers, campaigns, pixels ──

    def _campaign(self, method: str, rest: list[str], _: Any) -> Reply:
        match method, rest:
            case "GET", []:
                return self._ok(campaigns=self._campaigns.list())
            case "GET", [campaign_id]:
                return self._ok(campaign=_found(self._campaigns.get(campaign_id)))
        raise Refused(405, "This is not done here.")

    def _numbers(self, method: str, rest: list[str], body: Any) -> Reply:
        match method, rest:
            case "GET", []:
                return self._ok(numbers=self.numbers.list())
            case "POST", []:
                return self._buy(asking.an_object(body))
            case "GET", [number_id]:
                return self._ok(number=_found(self.numbers.get(number_id)))
            case "DELETE", [number_id]:
                _found(self.numbers.remove(number_id))
                return self._ok()
        raise Refused(405, "This is not done here.")

    def _buy(self, asked: Json) -> Reply:
        codes = things.TOLL_FREE if asked.get("isTollFree") else AREAS
        area = str(asked.get("areaCode") or codes[0])
        if asked.get("countryCode", "US") != "US" or area not in map(str, codes):
            failed = {"message": NO_NUMBER, "messageCode": 0, "errors": [NO_NUMBER]}
            return as_json({"transactionId": self._transaction(), **failed}, 500)
        number = self.numbers.add(self._number(int(area), str(asked.get("campaignId") or "")))
        return self._ok(numberId=number["id"], number=number)

    def _number(self, area: int, campaign: str) -> Json:
        """A number that nobody has; its id is in letters."""
        serial = next(self._serials)
        digest = blake2b(f"{self.world.seed}/{serial}".encode(), digest_size=8).digest()
        number_id = "".join(chr(ord("A") + byte % 26) for byte in digest)
        return things.number(number_id, f"+1{area}555{serial:04}", area, campaign, self.now())

    def _pixels(self, method: str, rest: list[str], body: Any) -> Reply:
        match method, rest:
            case "GET", []:
                return self._ok(eventCallBacks=self.pixels.list())
            case "POST", []:
                asked = asking.an_object(body)
                if not asked.get("pixelUrl") or not asked.get("eventCode"):
                    raise Refused(422, "A pixel needs a pixelUrl and an eventCode.")
                pixel = self.pixels.add({**asked, "enabled": True})
                self.may_lose(self.pixels, pixel, "enabled")
                return self._ok(eventCallBack=pixel)
            case "DELETE", [pixel_id]:
                _found(self.pixels.remove(pixel_id))
                return self._ok()
        raise Refused(405, "This is not done here.")


def _nowhere(method: str, rest: list[str], body: Any) -> Reply:  # noqa: ARG001
    raise Refused(404, "No such resource.")


def _found(thing: Json | None) -> Json:
    if thing is None:
        raise Refused(404, "There is none with this id.")
    return thing
