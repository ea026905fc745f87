"""The readers' half: calls by their ids, from the cache where it has them, else from Postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from calltrack.client.state import Away
from calltrack.db.session import driver, engine
from calltrack.errors import TryLater, UnknownDoor
from calltrack.lookup.cache import CHUNK, LEASED, Cache, cache
from calltrack.lookup.call import COLUMNS, SHAPE, Call, pack, unpack
from calltrack.model import call_id as id_of

#: seconds to wait for somebody who loads a call, before asking Postgres beside them
PATIENCE = 0.5
#: seconds between two looks meanwhile, at first and at most
PAUSE, LONGEST_PAUSE = 0.002, 0.02
#: seconds for which a process believes that there are no further accounts
FRESH = 60.0
#: calls that are warmed at most: in the memory of Redis about a kilobyte each
MOST = 100_000

_LOAD = f"SELECT {COLUMNS} FROM calls WHERE id = ANY(%s)".encode()  # noqa: S608 - our own words
_ACCOUNTS = text("SELECT provider_type, name, id FROM provider_configs")
_RECENT = text("""
SELECT recent.id FROM provider_configs account CROSS JOIN LATERAL (
    SELECT id, started_at FROM calls WHERE account_id = account.id
      AND started_at >= :since AND (CAST(:until AS timestamptz) IS NULL OR started_at < :until)
    ORDER BY started_at DESC LIMIT :most) recent
ORDER BY recent.started_at DESC LIMIT :most
""")


def call(call_id: UUID) -> Call | None:
    """The call with this id of ours; None: there is none."""
    packed = _packed(call_id)
    return unpack(packed) if packed else None


def by_external_id(provider: str, external_id: str, account: str | None = None) -> Call | None:
    """The call with this id of the provider's; None: there is none.

    `account` is the name of one. Where it is not given and the provider has several, Postgres is asked for all of them.
    Raises `UnknownDoor` where there is no such account, or where several have a call of this id.
    """
    calls = _of(_accounts.of(provider, account), external_id)
    if not calls:  # an account may be new
        calls = _of(_accounts.of(provider, account, anew=True), external_id)
    if len(calls) > 1:
        names = ", ".join(sorted(_accounts.label(one.account_id) for one in calls))
        raise UnknownDoor(f"Several accounts have a call {external_id!r}: {names}. Name the one that you mean.")
    return calls[0] if calls else None


def find(wanted: str) -> list[Call]:
    """The calls with this id, ours or a provider's, at whichever account, from Postgres."""
    ids = [id_of(account, wanted) for account in _accounts.of(anew=True)]
    with suppress(ValueError):
        ids.append(UUID(wanted))
    return _unkept(ids)


@dataclass(frozen=True)
class Warmed:
    """What warming found in its range."""

    calls: int
    #: that were not in the cache, and are now
    added: int


def warm(since: datetime, until: datetime | None = None, most: int = MOST) -> Warmed:
    """Put the calls that started in a range into the cache, newest first, at most so many. Raises `TryLater`."""
    found, added = _needed(), 0
    with engine().connect() as connection:
        ids = list(connection.execute(_RECENT, {"since": since, "until": until, "most": most}).scalars())
    try:
        for first in range(0, len(ids), CHUNK):
            lease, ours = found.lease(ids[first : first + CHUNK], counted=False)
            added += found.fill(lease, _load(ours))
    except Away:
        raise _away() from None
    return Warmed(len(ids), added)


def clear() -> None:
    """Forget all calls: after rows were changed by hand, say. Raises `TryLater`."""
    try:
        _needed().forget_all()
    except Away:
        raise _away() from None


@dataclass(frozen=True)
class Stats:
    """How the cache is used, counted since Redis was last emptied."""

    #: calls that were there, and that were not; each process tells its hits with its next miss
    hits: int
    misses: int
    #: places that are taken, and the bytes of Redis' memory that they take, about
    entries: int
    bytes: int

    @property
    def hit_rate(self) -> float:
        """Of all calls that were asked for, from 0 to 1."""
        return self.hits / max(1, self.hits + self.misses)


def stats() -> Stats:
    """How the cache is used. Raises `TryLater`."""
    try:
        (hits, misses), size = _needed().counters(), _needed().size()
    except Away:
        raise _away() from None
    return Stats(hits, misses, size.entries, size.bytes)


@dataclass
class _Lane:
    """Threads of a process that ask for one call go one after the other: many at once would starve each other."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    #: the number of the last question that was begun here
    turn: int = 0
    #: the last answer: to which question, about which call, what
    told: tuple[int, UUID | None, bytes | None] = (0, None, None)

    def ask(self, found: Cache, key: UUID) -> bytes | None:
        """The call from the cache, asked for after this was called: by us, or by whoever waited with us."""
        came = self.turn
        if not self.lock.acquire(timeout=PATIENCE):
            return _load_one(key)
        try:
            turn, about, packed = self.told
            if about == key and turn > came:
                return packed
            self.turn += 1
            packed = _through(found, key)
            self.told = self.turn, key, packed
            return packed
        finally:
            self.lock.release()


#: no more connections to Redis than these are made for lookups
_lanes = [_Lane() for _ in range(32)]


def _packed(key: UUID) -> bytes | None:
    if (found := cache()) is None:
        return _load_one(key)
    try:
        return _lanes[key.int % len(_lanes)].ask(found, key)
    except Away:
        return _load_one(key)


def _through(found: Cache, key: UUID) -> bytes | None:
    """The call from the cache, loaded into it by us or by whoever came before us. Raises `Away`."""
    pause, patient_until = PAUSE, time.monotonic() + PATIENCE
    while True:
        packed = found.get(key)
        if packed is None:
            lease, ours = found.lease([key])
            if ours:
                return _keep(found, key, lease)
        elif packed.startswith(SHAPE):
            found.hit()
            return packed
        elif not packed.startswith(LEASED):  # another version of calltrack has packed it
            return _load_one(key)
        if time.monotonic() > patient_until:
            return _load_one(key)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _keep(found: Cache, key: UUID, lease: bytes) -> bytes | None:
    packed = None
    try:
        packed = _load_one(key)
    finally:  # nobody need wait for what failed
        found.fill(lease, {key: packed or b""})
    return packed


def _load_one(key: UUID) -> bytes | None:
    return _load([key]).get(key)


def _load(ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """These calls as Postgres has them, packed."""
    if not ids:
        return {}
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # planned anew each time, as in `calltrack.db.upsert`
        rows = driver(connection).execute(_LOAD, [list(ids)], prepare=False, binary=True)
        return {row[0]: pack(row) for row in rows}


def _unkept(ids: Sequence[UUID]) -> list[Call]:
    return [unpack(packed) for packed in _load(ids).values()]


def _of(accounts: Sequence[UUID], external_id: str) -> list[Call]:
    ids = [id_of(account, external_id) for account in accounts]
    if len(ids) > 1:
        return _unkept(ids)
    return [found for found in map(call, ids) if found]


@dataclass
class _Accounts:
    """Which accounts there are, as this process saw them, no longer than `FRESH` ago."""

    #: (provider, name) → id
    known: dict[tuple[str, str], UUID] = field(default_factory=dict[tuple[str, str], UUID])
    fresh_until: float = 0.0

    def of(self, provider: str | None = None, name: str | None = None, *, anew: bool = False) -> list[UUID]:
        """The ids of those that are meant. Raises `UnknownDoor` where there is none of them."""
        if anew or time.monotonic() > self.fresh_until or not self._meant(provider, name):
            self.fresh_until = time.monotonic() + FRESH
            with engine().connect() as connection:
                self.known = {(row[0], row[1]): row[2] for row in connection.execute(_ACCOUNTS)}
        found = self._meant(provider, name)
        if provider is not None and not found:
            raise UnknownDoor(f"There is no account {'/'.join(filter(None, (provider, name)))!r}.")
        return found

    def label(self, account_id: UUID) -> str:
        """`acme/east`."""
        return next("/".join(label) for label, known in self.known.items() if known == account_id)

    def _meant(self, provider: str | None, name: str | None) -> list[UUID]:
        return [key for label, key in self.known.items() if provider in (None, label[0]) and name in (None, label[1])]


_accounts = _Accounts()


def _needed() -> Cache:
    found = cache()
    if found is None:
        raise _away()
    return found


def _away() -> TryLater:
    return TryLater("Redis does not answer: check REDIS_URL, or run `calltrack doctor`.")
