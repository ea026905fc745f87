"""Connections to Postgres for the hot path: kept between requests, and given up on quickly."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from psycopg import Connection, Error, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy import Engine

from calltrack.db import session
from webhooks.answers import NotLanded

T = TypeVar("T")
RV = TypeVar("RV")

#: seconds for a connection (libpq takes no fewer), and for an answer once there is one
CONNECT_TIMEOUT = 2
PATIENCE = 3.0
#: milliseconds, after which Postgres itself gives up on a statement: it may wait for a lock, during a migration say
STATEMENT_TIMEOUT = 2500
#: seconds without tries after a failed one: a sender is told to come back at once, instead of after a timeout
REST = 1.0


class ImpatientConnection(session.DiscreetConnection):
    """A connection that does not wait for ever on a server that has stopped to answer."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        return super().wait(gen, interval, PATIENCE if timeout is None else timeout)


class Connections:
    """As many connections as there are threads that ask at once."""

    def __init__(self, url: str) -> None:
        # psycopg wants the plain scheme, where SQLAlchemy may have been given its own.
        self._url = re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url)
        self._idle: deque[ImpatientConnection] = deque()
        self._rest_until = 0.0

    def run(self, work: Callable[[Connection[TupleRow]], T]) -> T:
        """Do the work on a connection in autocommit. It is done again where a kept connection turns out to be dead.

        Raises `NotLanded` where no connection can be made, and psycopg's errors.
        """
        while (kept := self._kept()) is not None:
            try:
                return self._use(kept, work)
            except OperationalError:
                if not kept.broken:
                    raise
        return self._use(self._connect(), work)

    def close(self) -> None:
        while (kept := self._kept()) is not None:
            kept.close()

    def _kept(self) -> ImpatientConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _use(self, connection: ImpatientConnection, work: Callable[[Connection[TupleRow]], T]) -> T:
        try:
            return work(connection)
        finally:
            status = connection.pgconn.transaction_status
            if status == TransactionStatus.IDLE:
                self._idle.append(connection)
            elif status != TransactionStatus.UNKNOWN:
                connection.close()

    def _connect(self) -> ImpatientConnection:
        if time.monotonic() < self._rest_until:
            raise NotLanded
        try:
            return ImpatientConnection.connect(
                self._url,
                autocommit=True,
                prepare_threshold=0,
                connect_timeout=CONNECT_TIMEOUT,
                application_name="calltrack receiver",
                options=f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT}",
            )
        except Error:
            self._rest_until = time.monotonic() + REST
            raise


def quick_engine(url: str) -> Engine:
    """An engine for what the receiver reads aside from landing, as quick to give up."""
    return session.connect(url, pool_size=1, kind=ImpatientConnection, patience=CONNECT_TIMEOUT)
