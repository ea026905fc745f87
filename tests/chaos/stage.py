"""The system under trial: real servers and processes, and simulated providers beside them."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import redis
from sqlalchemy import text

from calltrack import accounts, config
from calltrack.db import migrate, session
from calltrack.db.credentials import Vault
from calltrack.embedded.home import make_home
from calltrack.embedded.place import find_place
from calltrack.embedded.ports import answers, free_port
from calltrack.embedded.postgres import Postgres
from calltrack.embedded.procfile import ROOT, environ
from calltrack.embedded.server import Server
from calltrack.embedded.supervise import Supervisor
from calltrack.embedded.valkey import Valkey
from simulator import Habits, Simulator, World
from simulator.server import STAND_INS
from tests.chaos.clock import Clock
from tests.chaos.eavesdropper import Eavesdropper

SECRET = "the-webhook-secret-of-the-trial"
#: of the seconds that the system waits in production
PATIENCE = 0.05
COMMANDS = {
    "web": "gunicorn --config python:webhooks.gunicorn_conf --workers 2 webhooks.wsgi:app",
    "fetch": 'celery --quiet -A tasks worker -n fetch@%h -Q "$(calltrack queues fetch)" '
    "--pool threads --concurrency 4 --without-gossip --without-mingle",
    "store": 'celery --quiet -A tasks worker -n store@%h -Q "$(calltrack queues store,webhooks)" '
    "--pool prefork --concurrency 2 --without-gossip --without-mingle",
    "control": "celery --quiet -A tasks worker -n control@%h -Q control "
    "--pool threads --without-gossip --without-mingle",
    "beat": "celery --quiet -A tasks beat",
}
PROVIDERS = tuple(STAND_INS)
#: what the providers' records look like in every round, and when late things happen
USUAL = "numbers_as_strings=0.2, mixed_money=0.2, blank_ids=0.004, odd_records=0.002, late_after=3"
#: so that a sync lasts as long as the faults; and so that it does not, when there are none any more
SLOW, QUICK = "{10/second}", "{500/second}"
KEPT = ("provider_configs", "audit_log", "audit_head", "alembic_version")


class Stage:
    """Everything a round can hurt, and look at."""

    def __init__(self, postgres: Server, valkey: Server, found: config.Settings) -> None:
        self.postgres, self.valkey, self.settings = postgres, valkey, found
        self.port = free_port()
        self.sim: Simulator | None = None
        self.eavesdropper = Eavesdropper(found.redis_url or "")
        self.clock = Clock(found.home)
        self._habits: dict[str, list[str]] = {}
        self.supervisor: Supervisor | None = None

    def url(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.settings.port}/webhooks/{provider}"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        assert self.settings.database_url
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            return connection.execute(query, values or None).fetchall()  # type: ignore[arg-type]

    def execute(self, query: str) -> None:
        assert self.settings.database_url
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            connection.execute(query)  # type: ignore[arg-type]

    @property
    def spooled(self) -> list[Path]:
        """Deliveries that wait on disk, or were set aside there."""
        assert self.settings.spool_dir
        return list(self.settings.spool_dir.rglob("*.delivery"))

    def _empty(self, names: Iterable[str]) -> None:
        """The tick goes on meanwhile, and takes the tables in another order: whoever loses tries again."""
        query = f"TRUNCATE {', '.join(names)}"
        while True:
            try:
                return self.execute(query)
            except psycopg.errors.DeadlockDetected:
                continue

    def misbehave(self, provider: str, habits: str) -> Callable[[], None]:
        """Give the provider these habits beside those that it has. Returns what ends it."""
        assert self.sim
        stand_in, active = self.sim.provider(provider), self._habits.setdefault(provider, [])

        def renew() -> None:
            stand_in.habits = Habits.parse(", ".join([USUAL, *active]))

        def undo() -> None:
            active.remove(habits)
            renew()

        active.append(habits)
        renew()
        return undo

    def broker(self) -> redis.Redis:
        assert self.settings.redis_url
        return redis.Redis.from_url(self.settings.redis_url)

    def kill(self, name: str) -> bool:
        """SIGKILL a process of the Procfile with all its children."""
        assert self.supervisor
        pid = self.supervisor.states[name].pid
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return True

    def crash(self, server: Server) -> None:
        """SIGKILL a server. Its files are as the crash left them."""
        if server.pid:
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: not server.is_alive)

    def clear(self, world: World) -> None:
        """A new world, and nothing known of any other."""
        names = [row[0] for row in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        self._empty(name for name in names if name not in KEPT)
        self.execute("UPDATE provider_configs SET blocked_until = NULL, health = NULL")
        self.broker().flushall()
        self.eavesdropper.heard.clear()
        if self.sim is not None:
            self.sim.__exit__(None, None, None)
        self._habits.clear()
        self.sim = Simulator(world, habits=Habits.parse(USUAL), port=self.port)
        self.sim.__enter__()


def until(true: Callable[[], object], patience: float = 60.0, look: float = 0.05) -> bool:
    """Wait until it is true. False: it did not come to that."""
    ends = time.monotonic() + patience
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(look)
    return True


@contextmanager
def stage(home: Path) -> Iterator[Stage]:
    """The whole system in a home of its own, with an account at each simulated provider."""
    make_home(home)
    place = find_place(home, "chaos")
    postgres = Postgres(home, place, free_port(), secrets.token_urlsafe(16), {})
    valkey = Valkey(home, place, free_port(), secrets.token_urlsafe(16), {})
    with ExitStack() as stack:
        for server in (postgres, valkey):
            server.start()
            stack.callback(server.stop)
        found = config.resolve(
            {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "DATABASE_URL": postgres.url,
                "REDIS_URL": valkey.url,
                "CALLTRACK_SECRET_KEYS": "trial:a-key-of-32-characters-or-longer",
                "CALLTRACK_HOME": str(home),
                "CALLTRACK_LOG": "json",
                "CALLTRACK_PATIENCE": str(PATIENCE),
                "PORT": str(free_port()),
            }
        )
        made = Stage(postgres, valkey, found)
        _set_up(made)
        stack.enter_context(made.eavesdropper)
        # for what the trial itself sends: doubled messages
        os.environ.update(environ(found))
        output = stack.enter_context((home / "output").open("w"))
        made.supervisor = stack.enter_context(
            Supervisor(COMMANDS, {**environ(found), **made.clock.environ}, ROOT, output=output)
        )
        log = Path(output.name)
        assert until(lambda: answers(found.port) and log.read_text().count(" ready.") >= len(COMMANDS) - 2), log
        yield made
        if made.sim is not None:
            made.sim.__exit__(None, None, None)


def _set_up(made: Stage) -> None:
    assert made.settings.database_url
    engine = session.connect(made.settings.database_url)
    migrate.upgrade(engine)
    with Simulator(World(records=1), port=made.port) as sim, engine.begin() as connection:
        for provider in PROVIDERS:
            accounts.add(
                connection,
                Vault(made.settings.secret_keys),
                provider,
                api_url=sim.url(provider),
                values={**sim.credentials(provider), "retry_delay": "0.05", "max_retries": "3", "page_size": "25"},
                webhook_secrets=[SECRET],
                rate_limits=["10/second"],
            )
        connection.execute(text("UPDATE provider_configs SET next_full_at = NULL, next_incremental_at = NULL"))
    engine.dispose()
