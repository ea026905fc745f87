"""A provider of another package, from `calltrack provider new` to calls in the database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
NAME = "northline"
FETCHED = f"{NAME}.fetch"
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


def test_workers_read_its_queues_and_the_receiver_has_its_door(site, settings_env):
    environ = {"PYTHONPATH": str(site), **{name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}}
    assert FETCHED in run(BIN / "calltrack", "queues", "fetch", **environ).strip().split(",")
    queues = "from tasks import app; print(*app.amqp.queues)"
    told = run(sys.executable, "-c", queues, cwd=Path(__file__).parents[2], **environ).split()
    assert {FETCHED, f"{NAME}.store", f"{NAME}.webhooks"} <= set(told)
    route = f"import celeryconfig as c; print(c.route('calltrack.fetch_page', (), {{'provider': {NAME!r}}}, None))"
    assert FETCHED in run(sys.executable, "-c", route, cwd=Path(__file__).parents[2], **environ)
    help_ = run(BIN / "calltrack", "accounts", "add", "--help", **environ)
    assert help_
    assert NAME in run(BIN / "calltrack", "providers", "--markdown", **environ).lower()


def test_it_is_small(package):
    """What a stranger starts from leaves room for what a provider really has."""
    lines = [
        line
        for path in (package / f"calltrack_{NAME}").glob("*.py")
        for line in path.read_text().splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    assert len(lines) < 120
