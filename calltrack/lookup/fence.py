"""The writers' half: a fence around the calls whose rows a transaction changes, while it is being committed.

    before the commit    fence      readers ask Postgres, and keep nothing
    commit
    after it             lift       the next reader loads the call anew

So nobody takes an older call from the cache than Postgres has shown to anybody; and where the writer is killed in
between, or nobody can tell whether it was committed, the fence stands until nothing old can be left. New calls need
none of this: that a call is not there is never kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from psycopg import Cursor

from calltrack.db.session import DiscreetConnection
from calltrack.lookup.cache import cache


class Fence:
    """Around the calls that one transaction changes."""

    def __init__(self) -> None:
        self._ids: set[UUID] = set()
        self._everything = False
        self._token = secrets.token_hex(8)
        self._stands = True

    def add(self, ids: Iterable[UUID]) -> None:
        """These calls change."""
        self._ids.update(ids)

    def add_everything(self) -> None:
        """So many calls change, or go, that all are forgotten."""
        self._everything = True

    def committing(self) -> None:
        """Put up the fence."""
        if self._ids and (found := cache()):
            self._stands = found.fence(self._ids, self._token)

    def committed(self) -> None:
        """Lift it. Where it could not be put up, everything is forgotten, as soon as Redis answers."""
        found = cache()
        if found is None:
            return
        if self._everything or not self._stands:
            found.forget_all()
        if self._ids and self._stands:
            found.lift(self._ids, self._token)


def changing(cursor: Cursor[Any], ids: Iterable[UUID]) -> None:
    """The rows of these calls are changed by the transaction that is under way."""
    _around(cursor).add(ids)


def changing_everything(cursor: Cursor[Any]) -> None:
    """The transaction that is under way changes calls that nobody names: those of an account that goes, say."""
    _around(cursor).add_everything()


def _around(cursor: Cursor[Any]) -> Fence:
    connection = cursor.connection
    assert isinstance(connection, DiscreetConnection)  # any other one does not tell of its commit
    if not isinstance(connection.around, Fence):
        connection.around = Fence()
    return connection.around
