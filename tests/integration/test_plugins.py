"""A provider of another package, from `calltrack provider new` to calls in the database."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calltrack import accounts, registry
from calltrack.sync import runs
from calltrack.sync.connections import vault

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
NAME = "northline"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: an account is added and synced by the commands' own functions, in a process that has the package installed
SYNC = """
import json, sys
sys.path.insert(0, sys.argv[1])
from stand_in import NorthlineStandIn
from calltrack import accounts, interface
from calltrack.db.session import engine
from calltrack.sync.connections import vault
from calltrack.testing.system import System

with NorthlineStandIn("late_changes") as api:
    system = System(engine())
    system.add_account("northline", api.url, api.settings)
    first = system.sync("northline")
    api.pass_time(60)
    system.sync("northline", "incremental")
    stored = {row["external_id"]: row["revenue"] for row in system.rows("SELECT * FROM calls")}
    assert stored == {call.id: call.revenue for call in api.listed()}, "other calls than the provider has"
    one = interface.of("northline").call(api.listed()[0].id)
    assert one.external_id == api.listed()[0].id
    print(first["state"], first["inserted"])
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder that the command wrote, as a stranger has it."""
    folder = tmp_path_factory.mktemp("packages")
    run(BIN / "calltrack", "provider", "new", NAME, "--into", folder)
    return folder / f"calltrack-{NAME}"


@pytest.fixture(scope="module")
def site(package, tmp_path_factory):
    """Where it is installed, built from source and without a network."""
    folder = tmp_path_factory.mktemp("site")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "install", *offline, "--target", folder, package)
    return folder


def run(*words, cwd=None, **environ):
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_written_passes_the_suite_as_it_is_installed(package, site):
    # Not with `python -m`, which would find the source in the folder, and not what was installed.
    told = run(BIN / "pytest", "-q", "--habits", "late_changes", cwd=package, PYTHONPATH=str(site))
    assert "failed" not in told
    assert "test_a_bad_habit" not in told, "skipped"


def test_an_account_of_it_is_synced(package, site, settings_env, database):
    environ = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "CALLTRACK_SECRET_KEYS")}
    told = run(sys.executable, "-c", SYNC, package / "tests", cwd=site, PYTHONPATH=str(site), **environ)
    state, inserted = told.split()
    assert state == "completed"
    assert int(inserted) >= 60


#: what a worker can read, and where a page of it is sent
QUEUES = """
import celeryconfig, sys
from tasks import app
print(*app.amqp.queues)
print(celeryconfig.route("calltrack.fetch_page", (), {"provider": sys.argv[1]}, None)["queue"])
"""


def test_its_queues_have_workers(site, settings_env):
    environ = {"PYTHONPATH": str(site), **{name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}}
    read = run(BIN / "calltrack", "queues", "fetch,store,webhooks", **environ).strip().split(",")
    known, sent_to = run(sys.executable, "-c", QUEUES, NAME, cwd=ROOT, **environ).splitlines()
    assert {f"{NAME}.fetch", f"{NAME}.store", f"{NAME}.webhooks"} <= set(read) <= set(known.split())
    assert sent_to == f"{NAME}.fetch"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A provider that is installed now; `plugin()` removes it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "calltrack_acme.py").write_text(LIKE_ANOTHER)
    info = tmp_path / "calltrack_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: calltrack-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[calltrack.providers]\nacme = calltrack_acme\n")
    registry.forget()

    def remove():
        (info / "entry_points.txt").unlink(missing_ok=True)
        registry.forget()

    yield remove
    remove()
    sys.modules.pop("calltrack_acme", None)


LIKE_ANOTHER = """
from dataclasses import replace
from calltrack import registry
PROVIDER = replace(registry.get("retreaver"), name="acme")
"""
DELIVERED = """
INSERT INTO webhook_logs (account_id, provider, body, verified, dedup_key, next_attempt_at)
SELECT id, 'acme', '', true, 'x', now() - interval '1 hour' FROM provider_configs WHERE provider_type = 'acme'
"""
RUNNING = "SELECT provider FROM sync_runs WHERE state = 'running' AND mode = 'full'"


def test_an_account_whose_package_is_gone_stops_nobody(plugin, system, broker):
    world = system(records=40)
    with world.engine.begin() as connection:
        values = {**world.sim.credentials("retreaver"), "retry_delay": "0.001"}
        accounts.add(connection, vault(), "acme", api_url=world.sim.url("retreaver"), values=values)
    runs.start("acme", None, "full")
    runs.start("acme", None, "range", NOON, NOON + timedelta(days=1))
    world.execute("UPDATE sync_pages SET hinted_at = now() - interval '1 hour'")
    world.execute(DELIVERED)
    world.execute("UPDATE provider_configs SET next_full_at = now(), next_reconcile_at = now()")
    plugin()

    from tasks import app
    from tasks.tick import tick

    tick()
    assert broker.llen("retreaver.fetch")
    assert broker.llen("convoso.fetch")
    assert not broker.keys("acme.*")
    assert "acme.fetch" not in app.amqp.queues
    assert {"retreaver", "convoso"} <= {run["provider"] for run in world.rows(RUNNING)}


def test_it_is_small(package):
    """What a stranger starts from leaves room for what a provider really has."""
    lines = [
        line
        for path in (package / f"calltrack_{NAME}").glob("*.py")
        for line in path.read_text().splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    assert len(lines) < 120
