"""Stand-ins: simulated providers that have one bad habit, and know what truly is there.

Those of the providers that calltrack brings are in `simulator`. A package brings its own with a hook, in a conftest:

    def pytest_calltrack_stand_ins():
        return {"acme": AcmeStandIn}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from calltrack.testing.scenarios import SCENARIOS, Scenario
from simulator import Habits, Limit, Simulator, World
from simulator.habits import DEFAULTS, PROVIDERS_OF, USUAL
from simulator.server import STAND_INS

#: calls that come in whenever time passes
NEW_CALLS = 2


class StandIn(Protocol):
    """A provider's API on this machine, with a bad habit. `with AcmeStandIn("page_shift") as stand_in:`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def url(self) -> str:
        """The base URL to give to an account."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings to give to an account."""
        ...

    @property
    def rate_limits(self) -> Sequence[str]:
        """The budget to give to an account: a large one, unless limits are what this is about."""
        ...

    def truths(self) -> list[dict[str, Any]]:
        """The calls that its list shows by now: `external_id`, and what else is known, by `CallRecord`'s names."""
        ...

    def unusable(self) -> int:
        """How many records its list shows that are no calls: they must be rejected, and nothing else."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Let that happen there which happens in so many seconds: new calls, late changes."""
        ...

    def behave(self) -> None:
        """From now on without the habit."""
        ...

    def complaints(self) -> list[str]:
        """What it has seen and should not have: requests beyond its limit, say."""
        ...


class Kind(Protocol):
    """A class of stand-ins: `AcmeStandIn`."""

    @property
    def habits(self) -> Sequence[str]:
        """The habits that it can have: named as in `calltrack simulate --habits list`, or otherwise."""
        ...

    def __call__(self, habit: str, /) -> StandIn: ...


class Simulated:
    """One of the simulator's stand-ins."""

    def __init__(self, habit: str, /, *, provider: str) -> None:
        self._provider = provider
        self._scenario = SCENARIOS.get(habit, Scenario())
        world = World(
            records={provider: self._scenario.records},
            now=datetime.now(UTC) - timedelta(seconds=self._scenario.behind),
            days=self._scenario.days,
        )
        limits = {provider: [Limit.parse(self._scenario.limit)]} if self._scenario.limit else {}
        self._simulator = Simulator(
            world, habits={provider: Habits.parse(self._scenario.habits or habit)}, limits=limits
        )

    def __enter__(self) -> Self:
        self._simulator.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._simulator.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._simulator.url(self._provider)

    @property
    def settings(self) -> Mapping[str, str]:
        own = {"page_size": str(self._scenario.page_size), **self._scenario.settings}
        return {**self._simulator.credentials(self._provider), **own}

    @property
    def rate_limits(self) -> Sequence[str]:
        return [self._scenario.budget]

    def truths(self) -> list[dict[str, Any]]:
        return self._simulator.provider(self._provider).truths()

    def unusable(self) -> int:
        return len(self._simulator.provider(self._provider).rejected())

    def pass_time(self, seconds: float) -> None:
        self._simulator.world.clock.advance(seconds)
        for _ in range(NEW_CALLS):
            self._simulator.world.add(self._provider)

    def behave(self) -> None:
        self._simulator.provider(self._provider).habits = Habits()

    def complaints(self) -> list[str]:
        traffic = self._simulator.stats[self._provider]
        found = [f"{self._simulator.strayed} requests went to another host"] if self._simulator.strayed else []
        if self._scenario.kept and traffic.too_many:
            found.append(f"{traffic.too_many} of {traffic.requests} requests went beyond the limit")
        return found


class SimulatedKind:
    """The simulator's stand-ins for one provider."""

    def __init__(self, provider: str) -> None:
        self.habits = [name for name, others in PROVIDERS_OF.items() if not others or provider in others]
        self._make = partial(Simulated, provider=provider)

    def __call__(self, habit: str, /) -> StandIn:
        return self._make(habit)


def simulated() -> dict[str, Kind]:
    """Those of the simulator."""
    return {provider: SimulatedKind(provider) for provider in STAND_INS}


def habits(kinds: Mapping[str, Kind]) -> list[str]:
    """All habits that any of these can have, in the simulator's order, others behind them.

    What is a strength of another one ("seconds until …"), and no habit by itself, is left out.
    """
    usual = [name for name in USUAL if not DEFAULTS[name]]
    others = [name for kind in kinds.values() for name in kind.habits if name not in USUAL]
    return [name for name in dict.fromkeys([*usual, *others]) if any(name in kind.habits for kind in kinds.values())]
