"""The writers' half: after the commit of what changed calls, their places in the cache are emptied.

New calls need none of this: that a call is not there is never kept. No commit fails for Redis, and a process waits for
it no longer than `cache.PATIENCE`, once in `state.REST`. Where it could not be told of a change, it is told to forget
everything, as soon as it answers again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from psycopg import Cursor

from calltrack.client import state
from calltrack.client.state import Away
from calltrack.db.session import DiscreetConnection
from calltrack.lookup.cache import LEASE, TTL, Cache, cache


def after_commit(cursor: Cursor[Any], ids: Collection[UUID]) -> None:
    """The transaction that is under way changes the rows of these calls."""
    _connection(cursor).after_commit(partial(_tell, ids))


def all_after_commit(cursor: Cursor[Any]) -> None:
    """The transaction that is under way changes calls that nobody names: those of an account that goes, say."""
    _connection(cursor).after_commit(partial(_tell, None))


def _connection(cursor: Cursor[Any]) -> DiscreetConnection:
    connection = cursor.connection
    assert isinstance(connection, DiscreetConnection)  # any other one does not tell of its commit
    return connection


def _tell(ids: Collection[UUID] | None) -> None:
    """Have these calls forgotten; None: all."""
    if (found := cache()) is None:
        return
    try:
        if ids is None:
            found.forget_all()
        else:
            found.forget(ids)
    except Away:
        _debt(found).owe()


class Debt:
    """What one Redis is still to be told: to forget everything. A thread tries until it is, or nothing old is left."""

    def __init__(self, owed_to: Cache) -> None:
        self._cache = owed_to
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._until = 0.0

    def owe(self) -> None:
        """What is there now is to be forgotten."""
        with self._lock:
            self._until = time.monotonic() + TTL + LEASE
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._pay, name="lookup-debt", daemon=True)
                self._thread.start()

    def _pay(self) -> None:
        while self._until:
            time.sleep(state.REST)
            owed = self._until
            try:
                self._cache.forget_all()
            except Away:
                paid = time.monotonic() > owed
            else:
                paid = True
            with self._lock:
                if paid and owed == self._until:
                    self._until, self._thread = 0.0, None


@lru_cache(maxsize=4)
def _debt(owed_to: Cache) -> Debt:
    return Debt(owed_to)
