"""`calltrack up` and `calltrack env`, on the servers of the tests and small processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from calltrack import config
from calltrack.accounts.seed import Seeded
from calltrack.cli import up
from calltrack.cli.env import env
from calltrack.config import resolve
from calltrack.db.tables import provider_configs
from calltrack.embedded.lock import alone_in
from calltrack.embedded.ports import free_port
from calltrack.embedded.procfile import commands, environ
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


@pytest.mark.usefixtures("small")
def test_a_second_system_in_the_same_home_is_refused(tmp_path):
    told = pytest.raises(FixConfiguration, match=rf"already runs in .* \(process {os.getpid()}\)")
    with alone_in(tmp_path), told, up.system():
        pass


@pytest.mark.usefixtures("small")
def test_taken_ports_are_told_at_once(ports):
    told = pytest.raises(FixConfiguration, match=rf"{ports[0]} and {ports[1]}: .* PORT and FLOWER_PORT")
    with (
        socket.create_server(("127.0.0.1", ports[0])),
        socket.create_server(("127.0.0.1", ports[1])),
        told,
        up.system(),
    ):
        pass


@pytest.mark.usefixtures("small")
def test_real_servers_without_a_key_are_refused(monkeypatch):
    monkeypatch.setenv("CALLTRACK_SECRET_KEYS", "")
    config.settings.cache_clear()
    with pytest.raises(FixConfiguration, match="CALLTRACK_SECRET_KEYS"), up.system():
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_a_later_one_is_a_hurry(number, monkeypatch):
    before, seen = signal.getsignal(number), []
    with up.stoppable() as hurry:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), number)
            seen.append(hurry.is_set())
            monkeypatch.setattr(up, "SAME_REQUEST", 0)
            os.kill(os.getpid(), number)
            seen.append(hurry.is_set())
    assert seen == [False, True]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("somebody_looks", [True, False])
def test_a_secret_that_was_made_is_shown_to_a_person_only(monkeypatch, capsys, somebody_looks):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: somebody_looks, raising=False)
    up.tell([Seeded(SimpleNamespace(label="retreaver/default"), "added", SECRET)])
    assert (SECRET in capsys.readouterr().out) == somebody_looks


def test_what_the_processes_write_is_for_machines_unless_somebody_reads_it(monkeypatch):
    found = resolve({"PATH": "/usr/bin"})
    assert up.child_environ(found)["CALLTRACK_LOG"] == "json"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert up.child_environ(found)["CALLTRACK_LOG"] == "console"
    assert up.child_environ(resolve({"CALLTRACK_LOG": "json"}))["CALLTRACK_LOG"] == "json"


def test_processes_get_all_settings_and_our_commands(tmp_path):
    found = resolve({"PATH": "/usr/bin", "CALLTRACK_HOME": str(tmp_path), "RETREAVER_API_KEY": "key"})
    given = environ(found)
    assert resolve(given).variables == found.variables
    assert given["DATABASE_URL"] == ""  # hides what a .env beside the Procfile says
    assert given["RETREAVER_API_KEY"] == "key"
    where = subprocess.run(["sh", "-c", "command -v calltrack"], env=given, capture_output=True, text=True, check=True)
    assert where.stdout.strip() == str(Path(sys.executable).with_name("calltrack"))


def test_every_line_of_the_procfile_is_a_command_that_there_is():
    found = commands()
    assert list(found) == ["web", "fetch", "store", "control", "beat", "flower"]
    for command in found.values():
        path = Path(sys.executable).with_name(command.split()[0])
        assert path.exists()
        assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "cannot be read .* from a checkout"), ("web: a\nweb: b\n", "two processes of the same name")],
)
def test_a_procfile_that_cannot_be_used(tmp_path, text, told):
    if text:
        (tmp_path / "Procfile").write_text(text)
    with pytest.raises(FixConfiguration, match=told):
        commands(tmp_path / "Procfile")


class TestEnv:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/calls?sslpassword=hunter2")
        monkeypatch.setenv("REDIS_URL", "redis://:hunter2@cache/0")
        monkeypatch.setenv("CALLTRACK_SECRET_KEYS", f"new:{SECRET},old:{SECRET}")
        monkeypatch.setenv("CALLTRACK_HOME", str(tmp_path))
        config.settings.cache_clear()
        yield lambda *words: CliRunner().invoke(env, words)
        config.settings.cache_clear()

    def test_all_settings_without_their_secrets(self, run, tmp_path):
        done = run()
        assert done.output.splitlines() == [
            "DATABASE_URL=postgresql://me:…@db/calls?…",
            "REDIS_URL=redis://:…@cache/0",
            "CELERY_BROKER_URL=redis://:…@cache/0",
            "CALLTRACK_SECRET_KEYS=new:…,old:…",
            f"CALLTRACK_HOME={tmp_path}",
            "PORT=8000",
            "FLOWER_PORT=5555",
            f"CALLTRACK_SPOOL_DIR={tmp_path / 'spool'}",
            "CALLTRACK_SPOOL_LIMIT=1073741824",
            "CALLTRACK_RECHECK_AFTER=3600s,21600s,86400s,259200s,604800s,2592000s",
            "CALLTRACK_RETENTION_PAGES=",
            "CALLTRACK_RETENTION_DELIVERIES=",
            "CALLTRACK_RETENTION_EVENTS=",
            "CALLTRACK_TRUSTED_PROXIES=",
        ]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("DATABASE_URL", "postgresql://me:hunter2@db/calls?sslpassword=hunter2"),
            ("CALLTRACK_SECRET_KEYS", f"new:{SECRET},old:{SECRET}"),
            ("PORT", "8000"),
        ],
    )
    def test_one_setting_in_full(self, run, name, value):
        assert run(name).output == f"{value}\n"

    def test_a_setting_that_there_is_not(self, run):
        done = run("DATABASE")
        assert done.exit_code == 2
        assert "DATABASE_URL, REDIS_URL" in done.output

    @pytest.mark.usefixtures("run")
    def test_a_setting_without_a_value(self, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "")
        config.settings.cache_clear()
        with pytest.raises(FixConfiguration, match="calltrack up"):
            CliRunner().invoke(env, ["DATABASE_URL"], catch_exceptions=False)
