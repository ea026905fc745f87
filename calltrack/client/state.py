"""The small state that processes share in Redis. Losing it costs a moment, never data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from calltrack import log

logger = log.get(__name__)

T = TypeVar("T")

#: seconds to wait for an answer of Redis, and how long to do without it once it did not answer
PATIENCE = 0.5
REST = 5.0


class Away(Exception):
    """Redis does not answer."""


def connect(url: str, *, patience: float = PATIENCE) -> redis.Redis:
    """A client that gives up soon: a request to a provider must not hang on its bookkeeping. Answers are bytes.

    `patience`: seconds to wait for one. A dropped connection is opened again at once, a timeout is not tried twice.
    """
    again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=patience, retry=again)


class Shared:
    """Redis, as asked by one process: once it is away, nobody here asks it again for the next seconds."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._rests_until = 0.0

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question to Redis. Raises `Away`."""
        if time.monotonic() < self._rests_until:
            raise Away
        try:
            return question()
        except redis.RedisError as error:
            self._rests_until = time.monotonic() + REST
            logger.warning("redis_away", error=type(error).__name__, asked_again_after_seconds=REST)
        raise Away


_shared: WeakKeyDictionary[redis.Redis, Shared] = WeakKeyDictionary()


def shared(client: redis.Redis) -> Shared:
    """What this process knows of the Redis behind this client."""
    return _shared.setdefault(client, Shared(client))
