"""Explaining a call: every observation, what each changed, and each reason why a call is not there."""

import json

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from calltrack.cli import calltrack
from calltrack.model import call_id
from calltrack.sync import deliveries, pull, runs
from calltrack.sync.explain import explain


@pytest.fixture
def world(system):
    return system(records=120, accounts_at=("retreaver",))


@pytest.fixture
def known(world):
    return world.sim.provider("retreaver").ids()[-1]


def told(world, wanted):
    with world.engine.connect() as connection:
        (one,) = explain(connection, wanted)
    return one


def test_every_door_and_what_it_changed(world, known):
    number = world.deliver(event="initiated", call_uuid=known, caller_name="Somebody")
    deliveries.process("retreaver")
    for _ in range(2):
        world.sync("retreaver")
    one = told(world, known)
    assert [seen.event for seen in one.seen] == ["inserted", "updated", ""]
    assert one.seen[0].door == f"delivery {number} (initiated, verified)"
    assert "status" in one.seen[1].changed
    assert one.given_by["status"].endswith("of run 1 (full)")
    assert told(world, str(one.call_id)).seen == one.seen  # our own id does as well
    text_ = CliRunner().invoke(calltrack, ["explain", known])
    assert text_.exit_code == 0, text_.output
    assert "nothing new" in text_.stdout
    listed = json.loads(CliRunner().invoke(calltrack, ["explain", known, "--json"]).stdout)
    assert listed["call_id"] == str(call_id(world.one("SELECT id FROM provider_configs")["id"], known))


def test_a_call_that_nobody_ever_told_of(world):
    assert told(world, "c-none").absent_because == ["No sync of the account was completed yet."]
    world.sync("retreaver")
    assert "on no page, and in no delivery" in told(world, "c-none").absent_because[0]
    done = CliRunner().invoke(calltrack, ["explain", "c-none"])
    assert done.exit_code == 1
    assert "not in calls" in done.stdout


def test_a_page_that_is_fetched_and_not_stored(world, known):
    for hint in runs.start("retreaver", None, "full")[1]:
        pull.fetch(hint.id)
    reasons = " ".join(told(world, known).absent_because)
    assert "fetched, not stored" in reasons
    assert "Run 1 (full) is running" in reasons


def test_a_delivery_that_waits_or_was_not_about_a_call(world):
    world.deliver(call_uuid="c1")
    assert "received" in " ".join(told(world, "c1").absent_because)


def test_a_record_that_was_rejected(world):
    world.deliver(caller_number="c-broken-77")
    deliveries.process("retreaver")
    assert "was rejected (no_id" in " ".join(told(world, "c-broken-77").absent_because)


def test_a_disabled_account_and_a_run_that_failed(world):
    world.sync("retreaver")
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE provider_configs SET is_active = false"))
        connection.execute(text("UPDATE sync_runs SET state = 'failed', reason = 'x', error = 'It broke.'"))
    reasons = " ".join(told(world, "c-none").absent_because)
    assert "disabled" in reasons
    assert "It broke." in reasons


def test_an_observation_that_is_not_kept_any_more_is_told(world, known):
    world.sync("retreaver")
    world.execute("UPDATE sync_pages SET body = NULL")
    assert "not kept" in told(world, known).given_by["status"]
