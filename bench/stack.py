"""The system in a temporary home: embedded servers as they always run (fsync on), and the workers of the Procfile."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from bench import usage
from calltrack import config
from calltrack.accounts.seed import blanked
from calltrack.db import migrate
from calltrack.db.session import engine
from calltrack.embedded.procfile import ROOT, commands, environ
from calltrack.embedded.servers import Servers
from calltrack.embedded.supervise import Supervisor

#: seconds until workers must have joined
PATIENCE = 90.0


@contextmanager
def home(postgres: Mapping[str, str] | None = None) -> Iterator[None]:
    """A migrated database and a broker, which `config.settings()` names until the end of the block.

    `postgres`: settings in the server's own words.
    """
    with tempfile.TemporaryDirectory(prefix="calltrack-bench-") as folder:
        Path(folder).chmod(0o711)  # root's servers run as another user, who must get through
        before = dict(os.environ)
        _forget_environment(Path(folder) / "home")
        try:
            with Servers(config.settings(), postgres=postgres, report=print):
                migrate.upgrade(engine())
                yield
                engine().dispose()
        finally:
            os.environ.clear()
            os.environ.update(before)
            config.settings.cache_clear()
            engine.cache_clear()


def _forget_environment(folder: Path) -> None:
    """What the environment or `.env` says about a real system is not for a benchmark."""
    os.environ.update(blanked())
    os.environ.update({"CALLTRACK_HOME": str(folder), "CALLTRACK_LOG": "json"})
    config.settings.cache_clear()


def log_file() -> Path:
    """Where the processes write to."""
    return config.settings().home / "log"


@contextmanager
def workers(
    kinds: Sequence[str] = (), others: Mapping[str, str] | None = None, *, messages: bool = False
) -> Iterator[Supervisor]:
    """These processes of the Procfile, started anew, once they take messages. `others`: further ones, by name.

    `messages`: those that wait already are theirs, too.
    """
    if not messages:
        with redis.Redis.from_url(config.settings().redis_url or "") as broker:
            broker.flushall()
    wanted = {kind: command for kind, command in commands().items() if kind in kinds} | dict(others or {})
    with log_file().open("a") as log, Supervisor(wanted, environ(config.settings()), ROOT, output=log) as supervisor:
        _wait_for(_nodes(wanted.values()))
        yield supervisor


def pids(supervisor: Supervisor) -> dict[str, int]:
    """The process ids of what runs, by name."""
    return {name: state.pid for name, state in supervisor.states.items() if state.pid}


def servers() -> dict[str, int]:
    """The process ids of the servers, by kind."""
    return {"Postgres": usage.child("postgres"), "Valkey": usage.child("valkey-server")}


def _nodes(started: Iterable[str]) -> set[str]:
    """The names under which these commands' workers answer."""
    return {name for command in started for name in re.findall(r" -n (\w+)@%h", command)}


def _wait_for(names: set[str]) -> None:
    from tasks import app  # noqa: PLC0415 - reading Celery's settings needs the servers' addresses

    deadline = time.monotonic() + PATIENCE
    while not names <= {name.partition("@")[0] for reply in app.control.ping(timeout=1.0) for name in reply}:
        if time.monotonic() > deadline:
            raise SystemExit(f"The workers did not start. Their last words:\n{last_words()}")


def last_words(lines: int = 20) -> str:
    return "\n".join(log_file().read_text(errors="replace").splitlines()[-lines:])


def forget() -> None:
    """Forget all deliveries and the calls they told of."""
    maintain("TRUNCATE webhook_logs, calls, call_events, arrivals")
    settle()


def empty() -> None:
    """Forget all calls and runs, and let the server write down what it still has to: nobody inherits that."""
    maintain("TRUNCATE calls, call_events, sync_runs, sync_status, rejected_records CASCADE")
    settle()


def empty_of_accounts() -> None:
    """As `empty`, and forget the accounts, too."""
    maintain("TRUNCATE provider_configs CASCADE")
    empty()


def settle() -> None:
    """Let the server write down what it still has to, before anything is timed."""
    maintain("CHECKPOINT")


def vacuum() -> None:
    """Do what the last load left to autovacuum: it would begin in the middle of the next one, or not."""
    maintain("VACUUM (ANALYZE)")


def maintain(*statements: str) -> None:
    """Let the server do this, each outside of any transaction."""
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
