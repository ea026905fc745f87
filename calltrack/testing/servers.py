"""A Postgres and a Valkey for tests, and the environment of a process that uses them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine

from calltrack import config
from calltrack.client.session import Client
from calltrack.config import resolve
from calltrack.db import migrate, session
from calltrack.db.tables import metadata
from calltrack.embedded.servers import Servers
from calltrack.sync import connections

SECRET_KEYS = "test:a-key-of-32-characters-or-longer"  # noqa: S105 - it seals made-up credentials

#: nobody would miss the data
POSTGRES = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
}
VALKEY = {"appendonly": "no"}

TABLES = [table.name for table in reversed(metadata.sorted_tables)]
COUNTED = [table.name for table in metadata.sorted_tables if "id" in table.c and table.c["id"].identity]
#: Ten times as quick as TRUNCATE, for a few rows. Whoever a failed test left in a transaction must not hold it up.
#: As a replica, no trigger refuses that the audit log is emptied.
EMPTY_ALL = f"""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%';
    SET LOCAL lock_timeout = '10s';
    SET LOCAL session_replication_role = replica;
    {" ".join(f"DELETE FROM {name};" for name in TABLES)}
    {" ".join(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), 1, false);" for name in COUNTED)}
"""  # noqa: S608 - the tables' own names


@dataclass(frozen=True)
class Running:
    """Where the servers are."""

    database_url: str
    redis_url: str


@contextmanager
def running() -> Iterator[Running]:
    """Both servers of calltrack's own, migrated, for as long as the block takes."""
    # Not in pytest's own folders, which root's are closed to its servers.
    home = Path(tempfile.mkdtemp(prefix="calltrack-testing-"))
    home.chmod(0o711)
    try:
        with Servers(resolve({"CALLTRACK_HOME": str(home)}), postgres=POSTGRES, valkey=VALKEY) as servers:
            found = servers.settings
            assert found.database_url
            assert found.redis_url
            engine = session.connect(found.database_url)
            migrate.upgrade(engine)
            engine.dispose()
            yield Running(found.database_url, found.redis_url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def environment(there: Running, home: Path, monkeypatch: pytest.MonkeyPatch, read_timeout: float) -> Iterator[Engine]:
    """Make this process one of the system's, with both servers empty; gives the database.

    `read_timeout`: seconds that its clients wait for the next bytes of an answer.
    """
    monkeypatch.setenv("DATABASE_URL", there.database_url)
    monkeypatch.setenv("REDIS_URL", there.redis_url)
    monkeypatch.setenv("CALLTRACK_SECRET_KEYS", SECRET_KEYS)
    monkeypatch.setenv("CALLTRACK_HOME", str(home))
    monkeypatch.setattr(connections, "Client", partial(Client, timeout=(5.0, read_timeout)))
    _forget()
    _empty(session.engine(), there.redis_url)
    yield session.engine()
    _forget()


def _empty(engine: Engine, redis_url: str) -> None:
    with engine.begin() as connection:
        connection.execution_options(no_parameters=True).exec_driver_sql(EMPTY_ALL)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()


def _forget() -> None:
    """What this process keeps open belongs to other settings."""
    if session.engine.cache_info().currsize:
        session.engine().dispose()
    for kept in (session.engine, config.settings, connections.vault, connections.valkey, connections._client):  # noqa: SLF001
        kept.cache_clear()
