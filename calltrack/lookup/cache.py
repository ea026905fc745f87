"""What stands in Redis: for each call that was asked for lately the call, or the lease of who is loading it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any, cast
from uuid import UUID

import redis

from calltrack.client import state
from calltrack.client.state import Away, shared
from calltrack.config import settings

#: seconds for which a call is kept
TTL = 300
#: seconds that loading a call may take before somebody else may load it
LEASE = 5
#: seconds to wait for an answer, before doing without Redis for `calltrack.client.state.REST`
PATIENCE = 0.2

PLACE = b"calltrack:call:"
LEASED = b"~"
BOOKS = "calltrack:lookup"
#: places that are emptied, or weighed, in one go
CHUNK = 1000
SAMPLE = 100


@dataclass(frozen=True)
class Size:
    """What the cache takes."""

    entries: int
    #: of Redis' memory, about
    bytes: int


class Cache:
    """The places of calls in one Redis. Safe to share between threads. Everything raises `Away`, but for `fill`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._redis = shared(client)
        self._script = client.register_script(files(__package__ or "").joinpath("fill.lua").read_text())
        self._hits = 0

    def get(self, key: UUID) -> bytes | None:
        """What stands at this call's place: the call as it was filled in, or a lease, which begins with `LEASED`."""
        return cast("bytes | None", self._redis.ask(partial(self._client.get, _place(key))))

    def hit(self) -> None:
        """Count a call that was there. It is told with the next miss: a hit costs Redis one GET, and nothing else."""
        self._hits += 1

    def lease(self, ids: Sequence[UUID], *, counted: bool = True) -> tuple[bytes, list[UUID]]:
        """A lease, and which of these calls are ours to load under it: nobody else does. `counted`: as misses."""
        lease = LEASED + secrets.token_hex(8).encode()
        pipe = self._client.pipeline(transaction=False)
        for key in ids:
            pipe.set(_place(key), lease, nx=True, ex=LEASE)
        if counted:
            hits, self._hits = self._hits, 0
            pipe.hincrby(BOOKS, "hits", hits)
            pipe.hincrby(BOOKS, "misses", len(ids))
        answers = self._redis.ask(pipe.execute)
        return lease, [key for key, done in zip(ids, answers, strict=False) if done]

    def fill(self, lease: bytes, calls: Mapping[UUID, bytes]) -> int:
        """Keep these calls where our lease still stands; an empty one is not there. Returns how many are kept."""
        given: list[bytes | int] = [lease, TTL * 1000, *calls.values()]
        with suppress(Away):
            return cast("int", self._redis.ask(lambda: self._script(keys=_places(calls), args=given)))
        return 0

    def forget(self, ids: Collection[UUID]) -> None:
        """Empty these places: the next reader loads the call anew, and who is loading it now keeps nothing."""
        places = _places(ids)
        for first in range(0, len(places), CHUNK):
            self._redis.ask(partial(self._client.unlink, *places[first : first + CHUNK]))

    def forget_all(self) -> None:
        """Empty all places that there are when this begins."""
        for places in self._pieces():
            self._redis.ask(partial(self._client.unlink, *places))

    def counters(self) -> tuple[int, int]:
        """Hits and misses, since Redis was last emptied."""
        found = self._redis.ask(partial(self._client.hmget, BOOKS, ["hits", "misses"]))
        hits, misses = (int(number or 0) for number in cast("list[Any]", found))
        return hits, misses

    def size(self) -> Size:
        """How many places are taken, and how much memory."""
        entries, sample = 0, 0.0
        for places in self._pieces():
            if not entries:
                sizes = [self._redis.ask(partial(self._client.memory_usage, one)) or 0 for one in places[:SAMPLE]]
                sample = sum(sizes) / len(sizes)
            entries += len(places)
        return Size(entries, round(entries * sample))

    def _pieces(self) -> Iterator[list[bytes]]:
        cursor = 0
        while True:
            cursor, places = self._redis.ask(partial(self._client.scan, cursor, PLACE + b"*", CHUNK))
            if places:
                yield cast("list[bytes]", places)
            if not cursor:
                return


def cache() -> Cache | None:
    """The cache in the Redis of the settings. None: they name none."""
    url = settings().redis_url
    return _cache(url) if url else None


@lru_cache(maxsize=4)
def _cache(url: str) -> Cache:
    return Cache(state.connect(url, patience=PATIENCE))


def _place(key: UUID) -> bytes:
    return PLACE + key.hex.encode()


def _places(ids: Iterable[UUID]) -> list[bytes]:
    return [_place(key) for key in ids]
