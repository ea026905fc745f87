"""Real servers for the tests: a Postgres and a Valkey of each pytest process, started when the first test asks for one.

They hang on this process: whatever ends it (an interrupt, a kill) ends them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import pytest
import redis
from sqlalchemy import Engine

from calltrack import config, registry
from calltrack.config import SERVERS_LOCK, is_locked, resolve
from calltrack.db import migrate, session
from calltrack.db.tables import metadata
from calltrack.embedded.servers import Servers

SECRET_KEYS = "test:a-key-of-32-characters-or-longer"
SETTINGS = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CALLTRACK_SECRET_KEYS", "PORT", "FLOWER_PORT", "CALLTRACK_LOG")
HOME_PREFIX = "calltrack-tests-"

#: nobody misses this data
POSTGRES = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
}
VALKEY = {"appendonly": "no"}


class Running(Protocol):
    """A server that runs."""

    url: str


def pytest_configure() -> None:
    """Whatever the environment or a `.env` here says, tests see none of it: an empty variable counts as unset."""
    providers = tuple(f"{name.upper()}_" for name in registry.names())
    found = {**config.load(os.environ).environ, **os.environ}
    for name in [*SETTINGS, *(name for name in found if name.startswith(providers))]:
        os.environ[name] = ""
    os.environ["CALLTRACK_HOME"] = str(Path(tempfile.gettempdir()) / f"{HOME_PREFIX}nothing-here")


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """A home for the servers of this process, in the system's folder for such things: pytest's own is closed to others."""
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=HOME_PREFIX))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_home: Path) -> Iterator[Running]:
    """A migrated Postgres."""
    environ = {"CALLTRACK_HOME": str(server_home), "REDIS_URL": "redis://none"}
    with Servers(resolve(environ), postgres=POSTGRES) as servers:
        url = servers.settings.database_url
        engine = session.connect(url)
        migrate.upgrade(engine)
        engine.dispose()
        yield SimpleNamespace(url=url)
