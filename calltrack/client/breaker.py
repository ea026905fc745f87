"""Lets a failing provider rest: opens after 5 failures in a row, probes after 60 s, closes after 3 successes.

The state machine is pybreaker's, its state stands in Redis. Around it are a few rules that it does not have. A call is
made outside of its lock, so that threads do not wait for each other. What says nothing about the provider's health (a
429, a refusal) counts neither way. While it is half open, one request of all processes probes, not one of each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import pybreaker
import redis

from calltrack import log
from calltrack.client.state import Away, shared
from calltrack.errors import BreakerOpen, ProviderFailed, ProviderUnreachable, UnreadableAnswer
from calltrack.patience import patience

logger = log.get(__name__)

T = TypeVar("T")

FAILURES = (ProviderUnreachable, ProviderFailed, UnreadableAnswer)
#: seconds for which a failing provider is left alone
REST = patience(60)
#: seconds that a probe may take before another one is let through, and until those who were refused meanwhile ask again
PROBE_LASTS = patience(60)
PROBE_WAIT = patience(5)


@dataclass(frozen=True)
class Sight:
    """The breaker's state at one moment."""

    closed: bool
    failures: int
    #: seconds until a probe may be made; 0 or less: now
    wait: float

    def __str__(self) -> str:
        """As people read it."""
        if self.closed:
            return f"closed, {self.failures} failures in a row" if self.failures else "closed"
        return f"open for {self.wait:.0f} s more" if self.wait > 0 else "half open: the next request probes"


class Breaker:
    """The breaker of one account, shared by all processes and threads. While Redis is away it is closed."""

    def __init__(
        self,
        client: redis.Redis,
        account: str,
        *,
        label: str = "",
        failures: int = 5,
        rest: float = REST,
        successes: int = 3,
    ) -> None:
        """`rest` is in seconds, `label` what people call the account. The client answers in bytes."""
        self._client = client
        self._redis = shared(client)
        self._label = label or account
        self._failures, self._rest, self._successes = failures, rest, successes
        self._name = f"calltrack:breaker:{account}"

    def call(self, function: Callable[[], T]) -> T:
        """The function's result, or its error. Raises `BreakerOpen` without calling it while the provider rests."""
        sight = self.sight()
        if sight is None:
            return function()
        if sight.closed:
            return self._watched(function, success_matters=sight.failures > 0)
        if sight.wait > 0:
            raise BreakerOpen(wait=sight.wait)
        return self._probe(function)

    def sight(self) -> Sight | None:
        """The breaker's state; None while Redis is away."""
        with suppress(Away):
            return self._redis.ask(self._look)
        return None

    def _look(self) -> Sight:
        found: Any = self._client.mget([self._key(name) for name in ("state", "fail_counter", "opened_at")])
        state, failures, opened_at = found
        return Sight(
            closed=state in (None, pybreaker.STATE_CLOSED.encode()),
            failures=int(failures or 0),
            wait=self._wait(state, int(opened_at or 0)),
        )

    def _wait(self, state: bytes | None, opened_at: int) -> float:
        if state != pybreaker.STATE_OPEN.encode():
            return 0.0
        now = int(time.time())
        if opened_at > now + self._rest:  # by a clock that was ahead, and would keep it open until then
            opened_at = now
            self._client.set(self._key("opened_at"), now)  # pybreaker only ever raises it
        return opened_at + self._rest - time.time()

    def _probe(self, function: Callable[[], T]) -> T:
        lease = self._client.lock(f"{self._name}:probe", timeout=PROBE_LASTS, blocking=False)
        leased = False
        with suppress(Away):  # the next request finds that out, and is let through
            leased = self._redis.ask(lease.acquire)
        if not leased:
            raise BreakerOpen(wait=PROBE_WAIT)
        try:
            return self._watched(function, success_matters=True)
        finally:
            with suppress(redis.RedisError):  # it ran out, or Redis went away: then it runs out
                lease.release()

    def _watched(self, function: Callable[[], T], *, success_matters: bool) -> T:
        try:
            result = function()
        except FAILURES:
            self._report(_fail)
            raise
        if success_matters:
            self._report(_succeed)
        return result

    def _report(self, outcome: Callable[[], None]) -> None:
        """Tell pybreaker how a call ended, which moves its state.

        The object is made anew each time: one that is kept resets the shared counters whenever it first notices that
        another process moved the state.
        """
        with suppress(_Failure, pybreaker.CircuitBreakerError, Away):
            self._redis.ask(lambda: self._machine().call(outcome))

    def _key(self, name: str) -> str:
        """Where pybreaker keeps it."""
        return f"{self._name}:{pybreaker.CircuitRedisStorage.BASE_NAMESPACE}:{name}"

    def _machine(self) -> pybreaker.CircuitBreaker:
        return pybreaker.CircuitBreaker(
            fail_max=self._failures,
            reset_timeout=self._rest,
            success_threshold=self._successes,
            state_storage=pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, self._client, self._name),
            listeners=[_Listener(self._label)],
            throw_new_error_on_trip=False,
        )


class _Failure(Exception):
    """A call failed."""


def _fail() -> NoReturn:
    raise _Failure


def _succeed() -> None:
    return None


class _Listener(pybreaker.CircuitBreakerListener):  # type: ignore[misc,unused-ignore]
    """Logs each change of state, once, in the process that made it."""

    def __init__(self, account: str) -> None:
        self._account = account

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:  # noqa: ARG002
        logger.warning("breaker", account=self._account, state=new_state.name, failures=cb.fail_counter)
