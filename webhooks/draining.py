"""Landing what was spooled, once Postgres is back."""

from __future__ import annotations

from functools import partial

from psycopg import Error

from calltrack.sync.inbox import Delivery, Landed, land
from calltrack.sync.spool import Spool
from webhooks.answers import NotLanded
from webhooks.bell import Bell
from webhooks.connections import Connections


class Draining:
    """A chore of each receiver process; they take turns."""

    def __init__(self, spool: Spool, connections: Connections, bell: Bell) -> None:
        self._spool = spool
        self._connections = connections
        self._bell = bell

    def now_and_then(self) -> None:
        """Land all that waits, as far as Postgres takes it, and say so to the workers."""
        try:
            while providers := self._spool.drain(self._land):
                for provider in providers:
                    self._bell.ring(provider)
        except (Error, NotLanded):  # it is still away
            return

    def _land(self, delivery: Delivery) -> Landed:
        return self._connections.run(partial(land, delivery=delivery))
