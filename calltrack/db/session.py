"""The engine: one per process, made on first use."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Engine, create_engine, make_url

from calltrack.config import settings


@cache
def engine() -> Engine:
    """The process's connections to Postgres."""
    return connect(_database_url())


def connect(url: str, *, pool_size: int = 10) -> Engine:
    """An engine on this database (libpq URL), in UTC, checked before each use so that a restarted server goes unnoticed."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=10,
        connect_args={"connect_timeout": 5, "options": "-c timezone=UTC", "application_name": "calltrack"},
    )


def _database_url() -> str:
    found = settings()
    found.needs("database_url")
    assert found.database_url is not None
    return found.database_url
