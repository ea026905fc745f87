"""A world: the calls that there truly are, at every provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from threading import RLock
from zoneinfo import ZoneInfo

from simulator import calls
from simulator.calls import Call
from simulator.chance import fraction
from simulator.clock import Clock
from simulator.shapes import Shape, reshape

PROVIDERS = tuple(calls.DRAW)

# Where the numbers of calls begin that are not part of the past: ids never meet.
UNLISTED = 10_000_000
EXTRA = 20_000_000

#: the newest call of the past is older than this: over, and settled
SETTLED = timedelta(minutes=20)
#: a new call appears in the list this long after it began: over, and settled
FRESH = timedelta(seconds=31)


class World:
    """Calls spread evenly over the past `days`, the same ones for the same `seed`.

    `records` is a number of calls, or one per provider. `now` is where the past ends; given, time stands still there
    until `clock.advance`. `zone` is what the accounts' local times are told in. `burst` calls at a time begin together.
    `shapes` spoil that: a provider's calls are crowded, or its clock is wrong.
    """

    def __init__(
        self,
        seed: int = 1,
        records: int | Mapping[str, int] = 1000,
        *,
        now: datetime | None = None,
        days: float = 30.0,
        zone: str = "America/New_York",
        burst: int = 1,
        shapes: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.seed = seed
        self.records = {name: records if isinstance(records, int) else records.get(name, 0) for name in PROVIDERS}
        self.days = days
        self.zone = zone
        self.burst = burst
        self.clock = Clock(now)
        self.now = self.clock.now()
        self.lock = RLock()
        self._shapes = {name: Shape(**shape) for name, shape in (shapes or {}).items()}  # type: ignore[arg-type]
        self._calls: dict[str, list[Call]] = {}
        self._by_id: dict[str, dict[str, Call]] = {}

    def calls(self, provider: str) -> list[Call]:
        """The calls that the provider's API has: oldest first, new ones at the end."""
        with self.lock:
            if provider not in self._calls:
                self._calls[provider] = self._past(provider)
                self._reshape(provider)
                self._by_id[provider] = {call.id: call for call in self._calls[provider]}
            return self._calls[provider]

    def shape(self, provider: str, shape: Shape) -> None:
        """Let the provider's calls happen otherwise, once: before anybody has read them."""
        with self.lock:
            if shape == Shape() or provider in self._shapes:
                return
            self._shapes[provider] = shape
            if provider in self._calls:
                self._reshape(provider)

    def now_at(self, provider: str) -> datetime:
        """The present moment by the provider's clock."""
        return self.clock.now() + self._skew(provider)

    def call(self, provider: str, call_id: str) -> Call | None:
        """The call with this id, as it is now."""
        with self.lock:
            self.calls(provider)
            return self._by_id[provider].get(call_id)

    def add(self, provider: str) -> Call:
        """A call that has just ended: from now on the newest."""
        with self.lock:
            call = calls.DRAW[provider](self.seed, len(self.calls(provider)), self.now_at(provider) - FRESH)
            calls.shorten(call)
            self.publish(call)
            return call

    def unlisted(self, provider: str, number: int) -> Call:
        """The n-th call that the API does not show (yet): known through webhooks only. It began minutes ago."""
        start = self.now - SETTLED + timedelta(milliseconds=50 * (number % 12_000)) + self._skew(provider)
        return calls.DRAW[provider](self.seed, UNLISTED + number, start)

    def publish(self, call: Call) -> None:
        """Let the API show this call too."""
        with self.lock:
            self.calls(call.provider).append(call)
            self._by_id[call.provider][call.id] = call

    def describe(self) -> dict[str, object]:
        """What another process needs to make the same world: `World.like`."""
        return {
            "seed": self.seed,
            "records": self.records,
            "now": self.now.isoformat(),
            "days": self.days,
            "zone": self.zone,
            "burst": self.burst,
            "shapes": {name: asdict(shape) for name, shape in self._shapes.items()},
        }

    @classmethod
    def like(cls, described: Mapping[str, object]) -> World:
        """The world that `describe` tells of. Its time stands still, and it knows nothing that happened since."""
        return cls(**{**described, "now": datetime.fromisoformat(str(described["now"]))})  # type: ignore[arg-type]

    def _reshape(self, provider: str) -> None:
        if provider in self._shapes:
            reshape(self._calls[provider], self._shapes[provider], self.seed, self.now, ZoneInfo(self.zone))

    def _skew(self, provider: str) -> timedelta:
        return timedelta(seconds=self._shapes.get(provider, Shape()).skew)

    def _past(self, provider: str) -> list[Call]:
        count = self.records[provider]
        past = timedelta(days=self.days)
        step = (past - min(SETTLED, past / 2)) / max(1, -(-count // self.burst))
        first = self.now - past
        return [self._past_call(provider, index, first + step * (index // self.burst), step) for index in range(count)]

    def _past_call(self, provider: str, index: int, earliest: datetime, step: timedelta) -> Call:
        start = earliest + step * fraction(self.seed, provider, index // self.burst)
        return calls.DRAW[provider](self.seed, index, start)
