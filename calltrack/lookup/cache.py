"""What stands in Redis: for each call that was asked for lately, the call, or who is loading it, or who is writing it.

Only the four scripts beside this file touch these places, so each step is whole. Whoever gets no answer from Redis says
"forget everything" with the first question that is answered again: what could not be said meanwhile is said with that.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any, TypeVar, cast
from uuid import UUID

import redis

from calltrack.client import state
from calltrack.client.state import REST, Away, shared
from calltrack.config import settings
from calltrack.lookup.call import SHAPE

T = TypeVar("T")

#: seconds for which a call is kept
TTL = 300
#: seconds that loading a call may take before somebody else may load it
LEASE = 5
#: seconds for which a fence stands where its writer was killed: as long as anything that it guards against
FENCE = TTL

BOOKS = b"calltrack:lookup"
PLACE = b"calltrack:call:"
#: places that are listed, or emptied, in one go
CHUNK = 1000
#: places that are weighed
SAMPLE = 100
COUNTERS = ("hits", "misses", "waits", "fenced")


@dataclass
class Seen:
    """What a look at some calls has found."""

    #: calls that are there, packed
    calls: dict[UUID, bytes] = field(default_factory=dict[UUID, bytes])
    #: that are ours to load, under this token
    ours: list[UUID] = field(default_factory=list[UUID])
    token: str = ""
    #: that somebody else is loading
    theirs: list[UUID] = field(default_factory=list[UUID])
    #: that are being written: only Postgres can say what they are
    fenced: list[UUID] = field(default_factory=list[UUID])


class Cache:
    """The places of calls in one Redis. Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._redis = shared(client)
        scripts = {name: client.register_script(_source(name)) for name in ("look", "fill", "fence", "lift")}
        self._look, self._fill, self._fence, self._lift = scripts.values()
        self._lock = threading.Lock()
        self._owed = self._paid = 0
        self._owed_until = 0.0
        self._collector: threading.Thread | None = None

    def look(self, ids: Sequence[UUID], *, counted: bool = True) -> Seen:
        """Which of these calls are there. `counted`: in the statistics. Raises `Away`."""
        seen = Seen(token=_token())
        given: list[str | int] = [seen.token, SHAPE, LEASE * 1000, int(counted)]
        answers: list[bytes] = self._ask(lambda: self._look(keys=[BOOKS, *_places(ids)], args=given))
        lists = {b"+": seen.ours, b"~": seen.theirs, b"-": seen.fenced}
        for key, answer in zip(ids, answers, strict=True):
            if answer in lists:
                lists[answer].append(key)
            else:
                seen.calls[key] = answer
        return seen

    def fill(self, seen: Seen, loaded: Mapping[UUID, bytes]) -> int:
        """Keep what was loaded of what was ours to load, and let go of the rest. Returns how many are kept."""
        if not seen.ours:
            return 0
        given: list[str | int | bytes] = [seen.token, SHAPE, TTL * 1000]
        given += (loaded.get(key, b"") for key in seen.ours)
        with suppress(Away):
            return cast("int", self._ask(lambda: self._fill(keys=[BOOKS, *_places(seen.ours)], args=given)))
        return 0

    def fence(self, ids: Iterable[UUID], token: str) -> bool:
        """Let nobody take these calls from here, nor put them here. False: Redis does not answer."""
        try:
            self._ask(lambda: self._fence(keys=_places(ids), args=[token, FENCE * 1000]))
        except Away:
            return False
        return True

    def lift(self, ids: Iterable[UUID], token: str) -> None:
        """Lift that fence: the calls are loaded anew. Where Redis does not answer, it stands until it falls."""
        with suppress(Away):
            self._ask(lambda: self._lift(keys=_places(ids), args=[token]))

    def forget_all(self) -> None:
        """Have nobody take what is here now: at once, or as soon as Redis answers."""
        with self._lock:
            self._owed += 1
            self._owed_until = time.monotonic() + TTL
        with suppress(Away):
            self._ask(lambda: None)
            return
        self._collect()

    def clear(self) -> None:
        """As `forget_all`, and free the memory. Raises `Away`."""
        self._redis.ask(self._forget)
        for places in self._pieces():
            self._redis.ask(partial(self._lift, keys=places, args=[""]))

    def counters(self) -> dict[str, int]:
        """How the looks ended, since Redis was last emptied. Raises `Away`."""
        found = self._redis.ask(lambda: self._client.hmget(BOOKS, COUNTERS))
        return {name: int(number or 0) for name, number in zip(COUNTERS, cast("list[Any]", found), strict=True)}

    def size(self) -> tuple[int, int]:
        """How many places are taken, and the bytes that they take, about. Raises `Away`."""
        places, sample = 0, 0.0
        for found in self._pieces():
            if not places:
                sizes = [self._redis.ask(partial(self._client.memory_usage, key)) or 0 for key in found[:SAMPLE]]
                sample = sum(sizes) / len(sizes)
            places += len(found)
        return places, round(places * sample)

    def _pieces(self) -> Iterator[list[bytes]]:
        cursor = 0
        while True:
            cursor, keys = self._redis.ask(partial(self._client.scan, cursor, PLACE + b"*", CHUNK))
            if keys:
                yield cast("list[bytes]", keys)
            if not cursor:
                return

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask Redis, once what is owed is paid. Raises `Away`, and owes."""
        owed = self._owed
        try:
            if owed > self._paid:
                self._redis.ask(self._forget)
                with self._lock:
                    self._paid = max(self._paid, owed)
            return self._redis.ask(question)
        except Away:
            with self._lock:
                self._owed += 1
            raise

    def _forget(self) -> None:
        """Begin another generation."""
        self._client.hset(BOOKS, "generation", _token())

    def _collect(self) -> None:
        """Somebody must pay, though nobody here may ask again for long."""
        with self._lock:
            if self._collector is None or not self._collector.is_alive():
                self._collector = threading.Thread(target=self._pay, name="lookup-debt", daemon=True)
                self._collector.start()

    def _pay(self) -> None:
        """Ask until it is answered, or until nothing is left that could be too old."""
        while self._owed > self._paid and time.monotonic() < self._owed_until:
            time.sleep(REST)
            with suppress(Away):
                self._ask(lambda: None)


def cache() -> Cache | None:
    """The cache in the Redis of the settings. None: they name none."""
    url = settings().redis_url
    return _cache(url) if url else None


@lru_cache(maxsize=4)
def _cache(url: str) -> Cache:
    return Cache(state.connect(url))


def _places(ids: Iterable[UUID]) -> list[bytes]:
    return [PLACE + key.hex.encode() for key in ids]


def _token() -> str:
    return secrets.token_hex(8)


def _source(name: str) -> str:
    return files(__package__ or "").joinpath(f"{name}.lua").read_text()
