"""`calltrack up` and `calltrack env`, on the servers of the tests and small processes."""

import os
import signal
import socket
import subprocess
import time

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from calltrack import config
from calltrack.cli import up
from calltrack.cli.env import env
from calltrack.config import resolve
from calltrack.db.tables import provider_configs
from calltrack.embedded.lock import alone_in
from calltrack.embedded.ports import free_port
from calltrack.embedded.procfile import ROOT, commands, environ
from calltrack.errors import FixConfiguration

SECRET = "a-secret-of-thirty-two-characters"
#: a receiver and a Flower that start at once
LISTEN = "python -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", {port})); time.sleep(600)'"


@pytest.fixture
def ports(settings_env, monkeypatch):
    found = [free_port(), free_port()]
    for name, port in zip(("PORT", "FLOWER_PORT"), found, strict=True):
        monkeypatch.setenv(name, str(port))
    config.settings.cache_clear()
    return found


@pytest.fixture
def small(ports, monkeypatch):
    processes = {name: LISTEN.format(port=port) for name, port in zip(("web", "flower"), ports, strict=True)}
    monkeypatch.setattr(up, "commands", lambda: processes)
    return processes


def test_up_prepares_runs_announces_and_stops(small, ports, database, monkeypatch):
    monkeypatch.setenv("RETREAVER_API_KEY", "key")
    monkeypatch.setenv("RETREAVER_COMPANY_ID", "7")
    told = up.places

    def stop_then(settings):
        os.kill(os.getpid(), signal.SIGTERM)
        return told(settings)

    monkeypatch.setattr(up, "places", stop_then)
    done = CliRunner().invoke(up.up, catch_exceptions=False)
    assert done.exit_code == 0
    assert "Account retreaver/default, from the environment: added." in done.output
    assert done.output.endswith("Stopped.\n")
    with database.connect() as connection:
        assert connection.execute(select(provider_configs.c.provider_type)).scalars().all() == ["retreaver"]
