"""What the server's process behind one connection takes, while it does what is undone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from psycopg import Cursor

from bench import stack
from calltrack.db.session import driver, engine


@contextmanager
def undone(table: str) -> Iterator[Cursor]:
    """A cursor in a transaction that is rolled back in the end; what that leaves in the table is cleared away."""
    with engine().connect() as connection, driver(connection).cursor() as cursor:
        yield cursor
        connection.rollback()
    stack.maintain(f"VACUUM {table}")


def cpu(cursor: Cursor) -> float:
    """CPU seconds that the server's process of this connection has taken: not those of checkpoints and their like."""
    return sum(psutil.Process(cursor.connection.info.backend_pid).cpu_times()[:2])
