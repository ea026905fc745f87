"""A stand-in in forty lines: its calls and its bad habits are made here, what its API says is written by you."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import RLock, Thread
from types import TracebackType
from typing import Any, ClassVar, Self

from simulator.faults import Faults, spoil
from simulator.habits import FAULTS, Habits
from simulator.messages import Reply, Request, as_json
from simulator.server import Server

__all__ = ["Call", "LittleStandIn", "Reply", "Request", "as_json"]

CALLS = 60
#: calls lie within the last hour, and none of them is so young that it might be in the future of somebody's clock
FIRST, STEP = timedelta(minutes=50), timedelta(seconds=30)
SHARE = 0.3
HANGS = 2.0
#: every so many calls are told late, or change late
EVERY = 5


@dataclass(frozen=True)
class Call:
    """A made-up call; money is exact, times are aware UTC, numbers are E.164."""

    id: str
    caller: str
    line: str
    started_at: datetime
    ended_at: datetime
    changed_at: datetime
    seconds: int
    revenue: Decimal
    converted: bool


class LittleStandIn(ABC):
    """A provider's API on a port of its own. Subclasses say what it answers."""

    habits: ClassVar[Sequence[str]] = (*FAULTS, "late_changes", "late_calls", "page_shift")

    def __init__(self, habit: str, /) -> None:
        self._habit = habit
        self._faults = Faults(seed=1)
        self._lock = RLock()
        self._now = datetime.now(UTC) - timedelta(minutes=10)
        self._calls = [_made(place, self._now - FIRST + STEP * place) for place in range(CALLS)]
        self._late = set(range(0, CALLS, EVERY)) if habit == "late_calls" else set[int]()
        self._server = Server(("127.0.0.1", 0), self._reply)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    # ── what a provider must say for itself ──

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """The settings to give to an account."""

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """The answer of the provider's API, all being well."""

    @abstractmethod
    def truth(self, call: Call) -> dict[str, Any]:
        """What may be known of a call, by the names of `CallRecord`: `external_id` and whatever else."""

    def listed(self) -> list[Call]:
        """The calls that its list shows by now, oldest first."""
        with self._lock:
            return [call for place, call in enumerate(self._calls) if place not in self._late]

    # ── what the suite asks ──

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def rate_limits(self) -> Sequence[str]:
        return ["10000/second"]

    def truths(self) -> list[dict[str, Any]]:
        return [self.truth(call) for call in self.listed()]

    def unusable(self) -> int:
        return 0

    def pass_time(self, seconds: float) -> None:
        """A new call comes in, and what is late happens."""
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._late.clear()
            self._come()
            if self._habit == "late_changes":
                self._calls = [
                    call if place % EVERY else replace(call, revenue=call.revenue + 5, changed_at=self._now)
                    for place, call in enumerate(self._calls)
                ]

    def behave(self) -> None:
        self._habit = ""

    def complaints(self) -> list[str]:
        return []

    def _reply(self, path: str, request: Request) -> Reply:
        with self._lock:
            if self._habit == "page_shift":
                self._come()
            reply = self.answer(replace(request, path=path))
            habits = Habits(**{self._habit: SHARE}, hang_seconds=HANGS) if self._habit in FAULTS else Habits()
            fault = self._faults.draw(request, habits)
            return spoil(fault, request, reply, self._refuse, habits) if fault else reply

    def _come(self) -> None:
        self._calls.append(_made(len(self._calls), self._now - timedelta(seconds=40)))

    def _refuse(self, status: int, text: str) -> Reply:
        return as_json({"error": text}, status)


def _made(place: int, started_at: datetime) -> Call:
    started_at, seconds = started_at.replace(microsecond=0), 5 + place % 25
    ended_at = started_at + timedelta(seconds=seconds)
    return Call(
        id=f"call-{place:05}",
        caller=f"+1303555{100 + place % 100:04}",
        line="+18335550100",
        started_at=started_at,
        ended_at=ended_at,
        changed_at=ended_at,
        seconds=seconds,
        revenue=Decimal(place % 7) + Decimal("0.50"),
        converted=place % 3 == 0,
    )
