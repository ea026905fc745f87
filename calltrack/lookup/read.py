"""The readers' half: calls by their ids, from the cache where it has them, else from Postgres."""

from __future__ import annotations

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
from calltrack.lookup.cache import CHUNK, Cache, Seen, cache
from calltrack.lookup.call import COLUMNS, Call, pack, unpack
from calltrack.lookup.flights import Flights
from calltrack.model import call_id as id_of

#: seconds to wait for somebody who loads a call, before asking Postgres beside them
PATIENCE = 0.5
#: seconds between two looks meanwhile, at first and at most
PAUSE, LONGEST_PAUSE = 0.002, 0.02
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

_flights: Flights[UUID, bytes | None] = Flights()


def call(call_id: UUID) -> Call | None:
    """The call with this id of ours; None: there is none."""
    packed = _flights.share(call_id, lambda: _packed([call_id]).get(call_id))
    return unpack(packed) if packed else None


def by_external_id(provider: str, external_id: str, account: str | None = None) -> Call | None:
    """The call with this id of the provider's; None: there is none.

    `account` is the name of one. Without it all accounts of the provider are looked at; where there are several, name
    one: that a call is not there is never kept, so that Postgres is asked for the others each time. Raises
    `UnknownDoor` where there is no such account, or where several have a call of this id.
    """
    calls = _of(_accounts.of(provider, account), external_id)
    if not calls:  # an account may be new
        calls = _of(_accounts.of(provider, account, anew=True), external_id)
    if len(calls) > 1:
        names = ", ".join(sorted(_accounts.label(one.account_id) for one in calls))
        raise UnknownDoor(f"Several accounts have a call {external_id!r}: {names}. Name the one that you mean.")
    return calls[0] if calls else None


def find(wanted: str) -> list[Call]:
    """The calls with this id, ours or a provider's, at whichever account."""
    ids = [id_of(account, wanted) for account in _accounts.of(anew=True)]
    with suppress(ValueError):
        ids.append(UUID(wanted))
    return [unpack(packed) for packed in _packed(ids).values()]


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
            seen = found.look(ids[first : first + CHUNK], counted=False)
            added += found.fill(seen, _load(seen.ours))
    except Away:
        raise _away() from None
    return Warmed(len(ids), added)


def clear() -> None:
    """Forget all calls: after rows were changed by hand, say. Raises `TryLater`."""
    try:
        _needed().clear()
    except Away:
        raise _away() from None


@dataclass(frozen=True)
class Stats:
    """How the cache is used, counted since Redis was last emptied."""

    #: calls that were there, and that were not
    hits: int
    misses: int
    #: that somebody else was loading, and that were being written
    waits: int
    fenced: int
    #: places that are taken, and the bytes of Redis' memory that they take, about
    entries: int
    bytes: int

    @property
    def hit_rate(self) -> float:
        """Of all calls that were asked for, from 0 to 1."""
        return self.hits / max(1, self.hits + self.misses + self.waits + self.fenced)


def stats() -> Stats:
    """How the cache is used. Raises `TryLater`."""
    try:
        counters, (entries, memory) = _needed().counters(), _needed().size()
    except Away:
        raise _away() from None
    return Stats(**counters, entries=entries, bytes=memory)


def _packed(ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """Those of these calls that there are."""
    found = cache()
    if found is None:
        return _load(ids)
    calls: dict[UUID, bytes] = {}
    left, pause, patient_until = ids, PAUSE, time.monotonic() + PATIENCE
    while left:
        try:
            seen = found.look(left, counted=left is ids)
        except Away:
            return calls | _load(left)
        calls |= seen.calls | _loaded(found, seen)
        left = seen.theirs
        if left and time.monotonic() > patient_until:
            return calls | _load(left)
        if left:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    return calls


def _loaded(found: Cache, seen: Seen) -> dict[UUID, bytes]:
    """What only Postgres can say after this look; of it, what is ours to load is kept."""
    loaded: dict[UUID, bytes] = {}
    try:
        loaded = _load([*seen.ours, *seen.fenced])
    finally:  # nobody need wait for what failed
        found.fill(seen, loaded)
    return loaded


def _load(ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """These calls as Postgres has them, packed."""
    if not ids:
        return {}
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # planned anew each time, as in `calltrack.db.upsert`
        rows = driver(connection).execute(_LOAD, [list(ids)], prepare=False, binary=True)
        return {row[0]: pack(row) for row in rows}


def _of(accounts: Sequence[UUID], external_id: str) -> list[Call]:
    ids = [id_of(account, external_id) for account in accounts]
    if len(ids) == 1:
        only = call(ids[0])
        return [only] if only else []
    return [unpack(packed) for packed in _packed(ids).values()]


@dataclass
class _Accounts:
    """Which accounts there are, as this process last saw."""

    #: (provider, name) → id
    known: dict[tuple[str, str], UUID] = field(default_factory=dict[tuple[str, str], UUID])

    def of(self, provider: str | None = None, name: str | None = None, *, anew: bool = False) -> list[UUID]:
        """The ids of those that are meant. Raises `UnknownDoor` where there is none of them."""
        if anew or not self._meant(provider, name):
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
