"""Real servers for the tests: a Postgres and a Valkey of each pytest process, started when the first test asks for one.

They hang on this process: whatever ends it (an interrupt, a kill) ends them.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import redis
from dotenv import dotenv_values
from sqlalchemy import Engine

from calltrack import config, registry
from calltrack.config import SERVERS_LOCK, is_locked, resolve
from calltrack.db import migrate, session
from calltrack.embedded.launch import end_with_parent
from calltrack.embedded.servers import Servers

# The suite's asserts tell what was compared only where it is imported after this.
pytest.register_assert_rewrite("calltrack.testing")

from calltrack.testing.servers import EMPTY_ALL, POSTGRES, SECRET_KEYS, VALKEY  # noqa: E402 - see above

# Quick by default; `HYPOTHESIS_PROFILE=thorough` looks for longer. Slow machines are no fault of the code.
hypothesis.settings.register_profile("quick", max_examples=30, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

pytest_plugins = ["calltrack.testing"]

SETTINGS = ["DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CALLTRACK_SECRET_KEYS", "CALLTRACK_LOG"]
PORTS = ["PORT", "FLOWER_PORT"]
HOMES = "calltrack-tests-"


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    url: str


def pytest_configure() -> None:
    """Whatever the environment and a `.env` say here, tests see none of it: an empty variable counts as unset."""
    prefixes = tuple(f"{name.upper()}_" for name in registry.names())
    found = {**dotenv_values(Path.cwd() / ".env"), **os.environ}
    for name in [*SETTINGS, *PORTS, *(name for name in found if name.startswith(prefixes))]:
        os.environ[name] = ""
    os.environ["CALLTRACK_HOME"] = "/nonexistent"
    if "PYTEST_XDIST_WORKER" in os.environ:
        end_with_parent(signal.SIGKILL)


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """Where the servers of this process live. Not in pytest's own folders, which root's are closed to its servers."""
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=HOMES))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def _sweep() -> None:
    """Remove what test processes that were killed could not."""
    for home in Path(tempfile.gettempdir()).glob(f"{HOMES}*"):
        locks = list(home.glob(f"*/{SERVERS_LOCK}"))
        if locks and not any(map(is_locked, locks)):
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_home: Path) -> Iterator[Running]:
    """A migrated Postgres."""
    found = resolve({"CALLTRACK_HOME": str(server_home / "postgres"), "REDIS_URL": "redis://none"})
    with Servers(found, postgres=POSTGRES) as servers:
        url = servers.settings.database_url
        engine = session.connect(url)
        migrate.upgrade(engine)
        engine.dispose()
        yield Running(url)


@pytest.fixture(scope="session")
def valkey(server_home: Path) -> Iterator[Running]:
    found = resolve({"CALLTRACK_HOME": str(server_home / "valkey"), "DATABASE_URL": "postgresql://none"})
    with Servers(found, valkey=VALKEY) as servers:
        yield Running(servers.settings.redis_url)


@pytest.fixture(scope="session")
def _engine(postgres: Running) -> Iterator[Engine]:
    engine = session.connect(postgres.url)
    yield engine
    engine.dispose()


@pytest.fixture
def database(_engine: Engine) -> Engine:
    """The migrated database, all its tables empty, and all ids counting from 1."""
    with _engine.begin() as connection:
        connection.execution_options(no_parameters=True).exec_driver_sql(EMPTY_ALL)
    return _engine


@pytest.fixture(scope="session")
def _redis(valkey: Running) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def broker(_redis: redis.Redis) -> redis.Redis:
    """The Valkey, empty. Answers are bytes."""
    _redis.flushall()
    return _redis


@pytest.fixture
def settings_env(
    postgres: Running, valkey: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], config.Settings]]:
    """The environment of a process of the system: both servers, a key, a home of its own. Gives `config.settings`."""
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.setenv("CALLTRACK_SECRET_KEYS", SECRET_KEYS)
    monkeypatch.setenv("CALLTRACK_HOME", str(tmp_path))
    _forget()
    yield config.settings
    _forget()


def _forget() -> None:
    if session.engine.cache_info().currsize:
        session.engine().dispose()
    session.engine.cache_clear()
    config.settings.cache_clear()
