"""The whole system as a user runs it: gunicorn, real Celery workers and beat, in a database of their own."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from calltrack import accounts
from calltrack.config import resolve
from calltrack.db import migrate, session
from calltrack.db.credentials import Vault
from calltrack.embedded.ports import answers, free_port
from calltrack.embedded.procfile import ROOT, environ
from calltrack.embedded.supervise import Supervisor
from simulator import Simulator, World

BIN = Path(sys.executable).parent
SECRET = "the-webhook-secret-of-the-test"
API_KEY = "not-to-be-seen-anywhere"
#: seconds
PATIENCE = 60


def until(true, patience=PATIENCE):
    """Wait until `true()` is; the last value otherwise goes into the failure."""
    deadline = time.monotonic() + patience
    while not (value := true()):
        assert time.monotonic() < deadline, f"still {value!r} after {patience} s"
        time.sleep(0.05)
    return value


class System:
    """What a test sees of the running system: the command line, the receiver's URL, the database."""

    def __init__(self, settings, sim, output):
        self.settings = settings
        self.environ = environ(settings)
        self.sim = sim
        self._output = output

    @property
    def output(self):
        """All that the processes have said."""
        return self._output.getvalue()

    def add_account(self, provider, name="default", **values):
        engine = session.connect(self.settings.database_url)
        with engine.begin() as connection:
            accounts.add(
                connection,
                Vault(self.settings.secret_keys),
                provider,
                name=name,
                api_url=self.sim.url(provider),
                values={**self.sim.credentials(provider), **values},
                webhook_secrets=[SECRET],
                rate_limits=["1000/second"],
            )
        engine.dispose()

    def calltrack(self, *words, check=True):
        done = subprocess.run(
            [BIN / "calltrack", *words], env=self.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def sync(self, *words):
        """`calltrack sync … --wait --json`: the line of JSON."""
        return json.loads(self.calltrack("sync", *words, "--wait", "--json").stdout.splitlines()[-1])

    def rows(self, query, *values):
        with psycopg.connect(self.settings.database_url) as connection:
            return connection.execute(query, values).fetchall()

    def url(self, provider):
        return f"http://127.0.0.1:{self.settings.port}/webhooks/{provider}"


@pytest.fixture(scope="module")
def settings(postgres, valkey, tmp_path_factory):
    """The environment of the system: a database and a Valkey database of its own."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS acceptance WITH (FORCE)")
        connection.execute("CREATE DATABASE acceptance")
    found = resolve(
        {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": urlunsplit(urlsplit(postgres.url)._replace(path="/acceptance")),
            "REDIS_URL": urlunsplit(urlsplit(valkey.url)._replace(path="/1")),
            "CALLTRACK_SECRET_KEYS": "test:a-key-of-32-characters-or-longer",
            "CALLTRACK_HOME": str(tmp_path_factory.mktemp("home")),
            "CALLTRACK_LOG": "json",
            "PORT": str(free_port()),
            **{name: os.environ[name] for name in os.environ if name.startswith("COV")},
        }
    )
    engine = session.connect(found.database_url)
    migrate.upgrade(engine)
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def system(settings):
    """Everything of the Procfile but Flower, with one worker for all queues: fewer processes to wait for."""
    commands = {
        "web": "gunicorn --config python:webhooks.gunicorn_conf --workers 1 webhooks.wsgi:app",
        "worker": "celery --quiet -A tasks worker --pool threads --concurrency 4 -E --without-gossip --without-mingle",
        "beat": "celery --quiet -A tasks beat",
    }
    output = io.StringIO()
    with (
        Simulator(World(seed=3, records=150)) as sim,
        Supervisor(commands, environ(settings), ROOT, output=output) as supervisor,
    ):
        made = System(settings, sim, output)
        made.add_account("retreaver")
        made.add_account("convoso")
        until(lambda: answers(settings.port) and "ready." in made.output)
        assert all(state.exit_code is None for state in supervisor.states.values()), made.output
        yield made
