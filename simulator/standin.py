"""What all stand-ins have in common: limits, faults, a list that changes, and the truth about it."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import count
from threading import RLock
from typing import Any, ClassVar

import orjson

from simulator import calls
from simulator.calls import Call
from simulator.chance import fraction, pick
from simulator.drifting import Drift, drifted, drifts
from simulator.faults import Faults, spoil
from simulator.habits import Habits
from simulator.messages import Reply, Request
from simulator.rows import ABSENT, Flaw, Listing, Row, Rows
from simulator.shapes import Shape
from simulator.shelf import Shelf
from simulator.traffic import Limit, Limiter, Traffic, retry_after
from simulator.world import EXTRA, World

Json = dict[str, Any]
#: dialect, call → the record in that dialect
Render = Callable[[Call], Json]


class StandIn(ABC):
    """One simulated provider. `reply` is all that the server calls; the rest is for tests."""

    name: ClassVar[str]
    #: where it lies on the server: the base URL that an account is given
    base: ClassVar[str]
    #: the limits that the habit `rate_limit` switches on
    usual_limits: ClassVar[tuple[Limit, ...]]
    #: the text that stands for the id where a template was not filled in
    unfilled_id: ClassVar[str]
    #: the keys of a record's id, whatever the dialect
    id_keys: ClassVar[tuple[str, ...]]
    #: what becomes of a record under the habit `schema_drift`, beside new fields
    drift: ClassVar[Drift] = Drift()

    def __init__(self, world: World, habits: Habits, limits: Sequence[Limit] = ()) -> None:
        self.world = world
        self.habits = habits
        world.shape(self.name, Shape(int(self.habits.plateau), self.habits.dst, self.habits.clock_skew))
        self.traffic = Traffic()
        #: what clients wrote, by what it was: `"number.added"`, `"revenue.added"`. One that came twice counts twice.
        self.writes: Counter[str] = Counter()
        self.lock = RLock()
        self._limiter = Limiter(limits or (self.usual_limits if habits.rate_limit else ()))
        self._faults = Faults(world.seed)
        self._rows = Rows()
        self._filled = False
        self._known = 0
        self._new_calls = 0.0
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._serial = count()

    @property
    def habits(self) -> Habits:
        """May be replaced at any time; those about records are settled when these are first read."""
        return self._habits

    @habits.setter
    def habits(self, habits: Habits) -> None:
        self._habits = habits.of(self.name)

    # ── what a provider must say for itself ──

    @property
    @abstractmethod
    def credentials(self) -> Mapping[str, str]:
        """The account settings that this stand-in wants to see."""

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """The answer of the provider's API, all being well."""

    @abstractmethod
    def refuse(self, status: int, text: str) -> Reply:
        """The provider's way to say no."""

    @abstractmethod
    def created(self, call: Call) -> Any:
        """What the list is sorted and filtered by."""

    @abstractmethod
    def truth(self, call: Call) -> Json:
        """What may be known of a call from this provider, in the words of a normalised record."""

    def now(self) -> datetime:
        """The present moment by the provider's clock: aware UTC."""
        return self.world.now_at(self.name)

    @abstractmethod
    def render_all(self) -> None:
        """Render every record in the usual dialects."""

    def limit(self, limits: Sequence[Limit]) -> None:
        """Refuse what goes beyond these limits, from now on; without any, nothing."""
        with self.lock:
            self._limiter = Limiter(limits)

    def route(self, path: str) -> str:
        """The path as it is counted: without ids."""
        return path

    # ── requests ──

    def warm(self) -> None:
        """Make and render all records now, so that the first reading costs no more than the second."""
        with self.lock:
            self._keep_up()
            self.render_all()

    def reply(self, request: Request) -> Reply:
        """Answer a request, with all bad habits."""
        with self.lock:
            self.traffic.arrived(self.route(request.path))
            reply = self._reply(request)
            reply = replace(reply, headers=(("Date", format_datetime(self.now(), usegmt=True)), *reply.headers))
            self.traffic.answers[0 if reply.silence else reply.status] += 1
            return reply

    def _reply(self, request: Request) -> Reply:
        wait = self._limiter.wait()
        if wait:
            self.traffic.too_many += 1
            return self._too_many(wait)
        self._keep_up()
        fault = self._faults.draw(request, self.habits)
        reply = self._as_200(self.answer(request))
        if fault is None:
            return reply
        self.traffic.faults[fault] += 1
        return self._as_200(spoil(fault, request, reply, self.refuse, self.habits))

    def _too_many(self, wait: float) -> Reply:
        reply = self.refuse(429, "Too many requests. Please slow down.")
        silent = fraction(self.world.seed, "silent_429", self.traffic.requests) < self.habits.silent_429
        headers = () if silent else (("Retry-After", self._retry_after(wait)),)
        return Reply(429, reply.body, headers)

    def _retry_after(self, wait: float) -> str:
        """Whole seconds, or a date by the provider's clock."""
        seconds = retry_after(wait)
        if fraction(self.world.seed, "retry_after_date", self.traffic.requests) < self.habits.retry_after_date:
            return format_datetime(self.now() + timedelta(seconds=int(seconds)), usegmt=True)
        return seconds

    def _as_200(self, reply: Reply) -> Reply:
        if self.habits.errors_as_200 and reply.status >= 400:
            return Reply(200, reply.body, reply.headers, reply.content_type)
        return reply

    # ── the list ──

    def listed(self, rows: Sequence[Row]) -> None:
        """Remember that these rows were shown: some calls change some time after that."""
        if not self.habits.late_changes:
            return
        for row in rows:
            if not row.seen:
                row.seen = True
                if row.call.restless < self.habits.late_changes:
                    self._later(partial(self._rows.change, row))

    def listing(self, rows: Sequence[Row], size: int, *, newest_first: bool) -> Listing:
        """The rows, oldest first, as the pages tell them."""
        return Listing(rows, size, newest_first=newest_first, again=int(self.habits.duplicates_across_pages))

    def joined(self, rows: Sequence[Row], dialect: str, render: Render) -> bytes:
        """The records as the inside of a JSON list."""
        return b",".join([row.rendered.get(dialect) or self._render(row, dialect, render) for row in rows])

    def rewrite(self, row: Row, **fields: Any) -> None:
        """A client changes these fields of a call: it is told so from now on, as changed now."""
        self._rows.change(row, self.now(), partial(calls.rewrite, **fields))

    def may_lose(self, shelf: Shelf, subscription: Json, flag: str = "active") -> None:
        """A new subscription may be gone after a while, or may be there and switched off; nobody is told."""
        asked = (self.world.seed, "subscription", subscription["id"])
        if fraction(*asked) >= self.habits.subscription_lost:
            return
        if pick((True, False), "gone", *asked):
            self._later(lambda _: shelf.lose(subscription["id"]))
        else:
            self._later(lambda _: subscription.update({flag: False}))

    def push_down(self) -> None:
        """New calls come in, before a list is read."""
        self._new_calls += self.habits.page_shift
        while self._new_calls >= 1.0:
            self._new_calls -= 1.0
            self.world.add(self.name)
        self._keep_up()

    def _render(self, row: Row, dialect: str, render: Render) -> bytes:
        # Copied, because orjson's own bytes hold on to four times the memory that they need.
        record = render(row.call)
        if self._drifts(row.call):
            record = _inside(record, drifted(record.get("call", record), self.drift))
        text = bytes(memoryview(orjson.dumps(_spoilt(record, row.flaw, self.id_keys))))
        row.rendered[dialect] = text
        return text

    def _drifts(self, call: Call) -> bool:
        return drifts(self.habits.schema_drift, self.world.seed, call.id)

    def _keep_up(self) -> None:
        """Do what is due, and show the calls that the world has got since."""
        if not self._filled:
            self._fill()
        now = self.now()
        while self._agenda and self._agenda[0][0] <= now:
            due, _, action = heapq.heappop(self._agenda)
            action(due)
        there = self.world.calls(self.name)
        for call in there[self._known :]:
            self._show(call, now)
        self._known = len(there)

    def _later(self, action: Callable[[datetime], None]) -> None:
        due = self.now() + timedelta(seconds=self.habits.late_after)
        heapq.heappush(self._agenda, (due, next(self._serial), action))

    def _fill(self) -> None:
        """Done when the list is first looked at: nobody waits for calls of a provider that nobody asks."""
        self._filled = True
        there = self.world.calls(self.name)
        self._known = len(there)
        late = [call for call in there if fraction(self.world.seed, "late", call.id) < self.habits.late_calls]
        hidden = {call.id for call in late}
        rows = [Row(call, self.created(call)) for call in there if call.id not in hidden]
        self._rows.fill([*rows, *self._unusable(there)])
        for call in late:
            self._later(partial(self._show, call))

    def _show(self, call: Call, at: datetime) -> None:  # noqa: ARG002 - what is due is told when it was due
        self._rows.add(Row(call, self.created(call)))

    def _unusable(self, there: Sequence[Call]) -> Iterator[Row]:
        """Rows that no sync can store, next to good ones: as many as the habits say."""
        for share, flaws in ((self.habits.blank_ids, self._blank_ids()), (self.habits.odd_records, ODD_RECORDS)):
            every = round(1 / share) if share else 0
            for place in range(every - 1, len(there), every) if every else ():
                call = calls.DRAW[self.name](self.world.seed, EXTRA + place, there[place].started_at)
                yield Row(call, self.created(call), pick(flaws, self.world.seed, "flaw", place))

    def _blank_ids(self) -> tuple[Flaw, ...]:
        return tuple(Flaw("blank_id", value) for value in (None, "", "null", self.unfilled_id, ABSENT))

    # ── the truth ──

    def ids(self, since: datetime | None = None, until: datetime | None = None) -> list[str]:
        """The ids of all calls that the list shows by now, oldest first; since ≤ the call's creation < until."""
        return [row.call.id for row in self._good(since, until)]

    def truths(self, since: datetime | None = None, until: datetime | None = None) -> list[Json]:
        """All calls that the list shows by now, as they are now."""
        return [self._known_of(row.call) for row in self._good(since, until)]

    def find(self, call_id: str) -> Json | None:
        """The truth about one call."""
        with self.lock:
            self._keep_up()
            row = self._rows.find(call_id)
            return self._known_of(row.call) if row else None

    def _known_of(self, call: Call) -> Json:
        """The truth, without what its drifted record does not tell."""
        hidden = self.drift.hides if self._drifts(call) else ()
        return {key: value for key, value in self.truth(call).items() if key not in hidden}

    def rejected(self) -> list[Json]:
        """The rows that no sync can store: where they stand in the list (oldest first, from 0), and why."""
        with self.lock:
            self._keep_up()
            return [
                {"position": place, "reason": row.flaw.reason, "created_at": row.call.created_at.isoformat()}
                for place, row in enumerate(self._rows.by_created)
                if row.flaw
            ]

    def unusable(self) -> list[bytes]:
        """The same rows as they were told last, as JSON."""
        with self.lock:
            self._keep_up()
            return [told for row in self._rows.by_created if row.flaw for told in row.rendered.values()]

    def _good(self, since: datetime | None, until: datetime | None) -> list[Row]:
        with self.lock:
            self._keep_up()
            rows = [row for row in self._rows.by_created if row.flaw is None]
        if since is not None:
            rows = [row for row in rows if row.call.created_at >= since]
        return rows if until is None else [row for row in rows if row.call.created_at < until]


ODD_RECORDS = (Flaw("no_object", None), Flaw("no_object", "ERR"), Flaw("no_object", {}))


def _inside(record: Json, fields: Json) -> Json:
    """The fields where they were: inside `{"call": {…}}`, or bare."""
    return {"call": fields} if "call" in record else fields


def _spoilt(record: Json, flaw: Flaw | None, id_keys: Sequence[str]) -> Any:
    """The record with its flaw. A record inside `{"call": {…}}` is spoilt inside."""
    if flaw is None:
        return record
    if flaw.reason == "no_object":
        return flaw.value
    fields = record.get("call", record)
    for key in [key for key in id_keys if key in fields]:
        fields[key] = flaw.value
        if flaw.value is ABSENT:
            del fields[key]
    return record
