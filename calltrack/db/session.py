"""The engine: one per process, made on first use."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, LiteralString, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow, dict_row, namedtuple_row
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from calltrack.config import settings
from calltrack.errors import FixConfiguration

RV = TypeVar("RV")

#: what Postgres adds to an error's sentence: "Failing row contains (…)", the line of a COPY
MORE = re.compile(r"\n(?:DETAIL|HINT|CONTEXT|QUERY|LINE \d+):.*", re.DOTALL)
#: the value in `invalid input syntax for type numeric: "…"`
VALUE = re.compile(r': ".*', re.DOTALL)

#: seconds for which a connection that worked is taken to work still: asking first costs a round trip for every page
FRESH = 1.0


class DiscreetConnection(psycopg.Connection[TupleRow]):
    """A connection whose errors say what went wrong, but not what a row holds: they end in logs, and in Flower."""

    #: of the transaction that is under way
    _after_commit: tuple[Callable[[], None], ...] = ()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this once the transaction that is under way is committed, also where nobody knows whether it was.

        Not after a rollback. It must neither raise nor take long.
        """
        self._after_commit += (call,)

    def commit(self) -> None:
        calls, self._after_commit = self._after_commit, ()
        try:
            super().commit()
        finally:
            for call in calls:
                call()

    def rollback(self) -> None:
        self._after_commit = ()
        super().rollback()

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.Error as error:
            error.args = (VALUE.sub(": …", MORE.sub("", str(error))),)
            raise


@cache
def engine() -> Engine:
    """The process's connections to Postgres. A forked child starts with none: two processes never share a socket."""
    made = connect(_database_url())
    os.register_at_fork(after_in_child=partial(made.dispose, close=False))
    return made


def connect(
    url: str, *, pool_size: int = 10, kind: type[DiscreetConnection] = DiscreetConnection, patience: int = 5
) -> Engine:
    """An engine on this database (libpq URL), in UTC. `kind`: of its connections; `patience`: seconds to make one.

    Connections that were idle are checked before they are used, so that a server that was restarted goes unnoticed.
    Raises `FixConfiguration` where the URL cannot be read.
    """
    made = create_engine(
        _readable(url).set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # an error must not carry what a row holds
        pool_size=pool_size,
        max_overflow=10,
        connect_args={"connect_timeout": patience, "options": "-c timezone=UTC", "application_name": "calltrack"},
    )
    event.listen(made, "do_connect", lambda _dialect, _record, args, params: kind.connect(*args, **params))
    event.listen(made, "checkin", _note_use)
    event.listen(made, "checkout", _ping_the_idle)
    return made


def _note_use(connection: object, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy calls it so
    record.info["used_at"] = time.monotonic()


def _ping_the_idle(connection: Any, record: Any, proxy: object) -> None:  # noqa: ARG001
    if time.monotonic() - record.info.get("used_at", time.monotonic()) < FRESH:
        return
    try:
        connection.execute("")
        connection.commit()
    except psycopg.OperationalError:
        raise DisconnectionError from None  # SQLAlchemy tries the next one


def driver(connection: Connection) -> psycopg.Connection[TupleRow]:
    """The psycopg connection inside, in the same transaction: for COPY and other things that only psycopg does."""
    return cast("psycopg.Connection[TupleRow]", connection.connection.driver_connection)


def rows(connection: Connection, query: LiteralString, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a query with `%(name)s` places, in the same transaction: a fifth of what SQLAlchemy takes for them.

    For the few statements that run for every page. They are prepared, until a ROLLBACK: there psycopg forgets all that
    the connection has. Whatever is often asked beside them therefore ends with a commit, though it only reads.
    """
    return driver(connection).cursor(row_factory=dict_row).execute(query, values).fetchall()


def row(connection: Connection, query: LiteralString, values: Mapping[str, Any]) -> Any:
    """As `rows`, for one row at most: a named tuple, or None."""
    return driver(connection).cursor(row_factory=namedtuple_row).execute(query, values).fetchone()


def _database_url() -> str:
    found = settings()
    found.needs("database_url")
    assert found.database_url is not None
    return found.database_url


def _readable(url: str) -> URL:
    """The parsed URL. The text itself stays out of the message: it holds a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or not parsed.drivername.startswith("postgres"):
        raise FixConfiguration("DATABASE_URL must have the form postgresql://user:password@host:5432/database.")
    return parsed
