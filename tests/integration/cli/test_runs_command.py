"""`calltrack runs`, `sync` and `queues`, as far as they need no worker."""

import json

import pytest
from click.testing import CliRunner

from calltrack import registry
from calltrack.cli import calltrack
from calltrack.errors import FixConfiguration
from calltrack.sync import runs


@pytest.fixture
def world(system):
    return system(records=20)


def say(*words, code=0):
    done = CliRunner().invoke(calltrack, words)
    assert done.exit_code == code, done.output
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_runs_are_listed_and_shown(world):
    world.sync("retreaver")
    world.sync("convoso")
    listed = [json.loads(line) for line in say("runs", "list", "--json").stdout.splitlines()]
    assert [(run["provider"], run["status"], run["inserted"]) for run in listed] == [
        ("convoso", "completed", 20),
        ("retreaver", "completed", 20),
    ]
    assert "retreaver/default" in say("runs", "list", "--provider", "retreaver").stdout
    shown = json.loads(say("runs", "show", str(listed[0]["run_id"]), "--json").stdout)
    assert sum(part["stored"] for part in shown["slices"]) == shown["pages"]
    assert "exhausted" in say("runs", "show", str(listed[0]["run_id"])).stdout


def test_a_run_is_cancelled_and_resumed(world):
    run_id, firsts = runs.start("retreaver", None, "full")
    assert "is cancelled" in say("runs", "cancel", str(run_id)).stdout
    assert f"goes on: {len(firsts)} pages" in say("runs", "resume", str(run_id)).stdout


@pytest.mark.parametrize("words", [("show", "99"), ("resume", "99"), ("cancel", "99")])
def test_a_run_that_is_not_there(world, words):
    with pytest.raises(FixConfiguration, match="calltrack runs list"):
        CliRunner().invoke(calltrack, ["runs", *words], catch_exceptions=False)


def test_a_sync_without_workers(world, monkeypatch):
    monkeypatch.setattr("calltrack.cli.sync.PATIENCE", 0.05)
    done = say("sync", "retreaver", "--since", "2026-01-01", "--json")
    assert "No worker is running" in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["status"], said["fetched"]) == ("running", 0)
    with pytest.raises(FixConfiguration, match="calltrack up"):
        CliRunner().invoke(calltrack, ["sync", "convoso", "--wait"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--since", "yesterday"), "write it as 2026-03-01"),
        (("--full", "--since", "2026-01-01"), "leave --since and --until out"),
    ],
)
def test_a_range_that_cannot_be_read(world, words, message):
    assert message in say("sync", "retreaver", *words, code=2).output


def test_queue_names_for_the_procfile():
    assert say("queues", "store,webhooks").stdout.strip().split(",") == [
        f"{name}.{kind}" for name in registry.names() for kind in ("store", "webhooks")
    ]
    assert "There is no kind x" in say("queues", "x", code=2).output
