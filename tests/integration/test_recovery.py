"""Replaying deliveries, trying rejects again, and fetching what webhooks missed; interrupted anywhere."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from calltrack import registry
from calltrack.cli import calltrack
from calltrack.errors import FixConfiguration, RejectRecord
from calltrack.sync import deliveries, operations, rejected, replay, runs, sweep
from calltrack.sync.hints import Step
from calltrack.sync.inbox import Delivery
from calltrack.sync.plan import Mode
from calltrack.sync.recover import recovered
from calltrack.sync.spool import Spool, drain_here

NOTHING = timedelta(0)


@pytest.fixture
def world(system):
    return system(records=20)


def say(*words, code=0):
    done = CliRunner().invoke(calltrack, words)
    assert done.exit_code == code, done.output
    return done


def begin(world, module, **meant):
    with world.engine.begin() as connection:
        return module.begin(connection, module.arguments(**meant))


def finish(operation):
    while (done := operations.advance(operation)) is not None:
        last = done
    return last


def test_a_replay_mends_what_was_damaged_and_doubles_nothing(world, monkeypatch):
    monkeypatch.setattr(replay, "CHUNK", 3)
    for number in range(7):
        world.deliver(call_uuid=f"c{number}", caller_number="+15550100001")
    deliveries.process("retreaver")
    world.execute("DELETE FROM calls WHERE external_id = 'c3'")
    world.execute("UPDATE calls SET caller_number = NULL WHERE external_id = 'c4'")
    done = finish(begin(world, replay, provider="retreaver"))
    assert (done.state, done.done, done.total) == ("completed", 7, 7)
    assert done.counts == {"processed": 7, "calls_inserted": 1, "calls_updated": 1}
    assert sorted(world.ids("retreaver")) == [f"c{number}" for number in range(7)]
    assert {row["caller_number"] for row in world.rows("SELECT caller_number FROM calls")} == {"+15550100001"}
    marked = world.rows("SELECT DISTINCT replays, operation_id, state FROM webhook_logs")
    assert [tuple(row.values()) for row in marked] == [(1, done.id, "processed")]


def test_a_replay_that_was_killed_goes_on_by_itself(world, monkeypatch):
    monkeypatch.setattr(replay, "CHUNK", 3)
    for number in range(7):
        world.deliver(call_uuid=f"c{number}")
    deliveries.process("retreaver")
    operation = begin(world, replay, state="processed")
    operations.advance(operation)
    with monkeypatch.context() as patch:
        patch.setattr(replay, "settle", interrupt)
        with pytest.raises(KeyboardInterrupt):  # nothing of this step counts
            operations.advance(operation)
    (hint,) = [hint for hint in sweep.sweep(NOTHING) if hint.step is Step.OPERATION]
    assert finish(hint.id).done == 7
    assert {row["replays"] for row in world.rows("SELECT replays FROM webhook_logs")} == {1}
    assert [hint for hint in sweep.sweep(NOTHING) if hint.step is Step.OPERATION] == []


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_what_we_failed_at_is_replayed_and_apart_from_what_nobody_can_use(world):
    ours, theirs = world.deliver(call_uuid="c1"), world.deliver(caller_number="+15550100001")
    deliveries.process("retreaver")
    world.execute("UPDATE webhook_logs SET state = 'failed', reason = 'processing_failed' WHERE id = :id", id=ours)
    world.execute("DELETE FROM calls")
    failed, rejected_ones = ("webhooks", "list", "--state", "failed"), ("webhooks", "list", "--state", "rejected")
    assert "our side" in say(*failed).stdout
    assert [json.loads(line)["id"] for line in say(*rejected_ones, "--json").stdout.splitlines()] == [theirs]
    assert "1 deliveries would be" in say("webhooks", "replay", "--state", "failed", "--dry-run").stdout
    told = json.loads(say("webhooks", "replay", "--state", "failed", "--json").stdout)
    assert (told["status"], told["done"], told["processed"]) == ("completed", 1, 1)
    assert world.ids("retreaver") == ["c1"]
    assert say(*failed, "--json").stdout == ""


def test_a_delivery_that_fails_again_holds_up_none(world, monkeypatch):
    bad, good = world.deliver(call_uuid="bad"), world.deliver(call_uuid="good")
    deliveries.process("retreaver")
    world.execute("DELETE FROM calls")
    settle = replay.settle

    def stumble(connection, rows, **how):
        if any(row["id"] == bad for row in rows):
            connection.execute(text("SELECT 1/0"))
        return settle(connection, rows, **how)

    monkeypatch.setattr(replay, "settle", stumble)
    assert finish(begin(world, replay, provider="retreaver")).counts["failed"] == 1
    states = world.rows("SELECT id, state FROM webhook_logs ORDER BY id")
    assert [tuple(row.values()) for row in states] == [(bad, "failed"), (good, "processed")]
    assert world.ids("retreaver") == ["good"]


def test_unverified_money_stays_out_however_often_it_is_replayed(world):
    world.deliver(verified=False, call_uuid="c1", revenue="99")
    deliveries.process("retreaver")
    finish(begin(world, replay, provider="retreaver"))
    assert world.one("SELECT revenue FROM calls")["revenue"] is None


def test_an_operation_that_cannot_go_on_says_why_and_is_resumed(world, monkeypatch):
    world.deliver(call_uuid="c1")
    operation = begin(world, replay, provider="retreaver")
    monkeypatch.setattr(replay, "step", lambda *_: 1 / 0)
    monkeypatch.setattr(operations, "MAX_ATTEMPTS", 1)
    with pytest.raises(ZeroDivisionError):
        operations.advance(operation)
    assert operations.advance(operation) is None
    assert world.one("SELECT state, error FROM operations")["error"] == "ZeroDivisionError"
    monkeypatch.undo()
    say("operations", "resume", str(operation))
    assert world.ids("retreaver") == ["c1"]
    assert "completed" in say("operations", "list").stdout
    with pytest.raises(FixConfiguration, match="not under way"), world.engine.begin() as connection:
        operations.cancel(connection, operation)


def test_rejects_are_tried_again_when_the_mapper_has_learned(system, monkeypatch):
    world, provider = system(records=5, accounts_at=("retreaver",)), registry.get("retreaver")

    def cannot(*_):
        raise RejectRecord("The mapping does not know this.", "unknown_shape")

    blind = replace(provider, map_call=cannot, webhook=replace(provider.webhook, map_delivery=cannot))
    monkeypatch.setattr(registry, "get", lambda _: blind)
    world.deliver(call_uuid="told")
    deliveries.process("retreaver")
    run = world.sync("retreaver")
    assert (run["rejected"], world.ids("retreaver")) == (5, [])
    assert rejected.retry_outdated() == []  # the same mapper would say the same
    learned = replace(provider, mapper_version=2)
    monkeypatch.setattr(registry, "get", lambda _: learned)
    (hint,) = rejected.retry_outdated()
    assert rejected.retry_outdated() == []  # one at a time
    done = finish(hint.id)
    assert (done.counts["resolved"], done.counts["calls_inserted"]) == (6, 6)
    assert sorted(world.ids("retreaver")) == sorted([*world.sim.provider("retreaver").ids(), "told"])
    assert world.rows("SELECT id FROM rejected_records WHERE resolved_at IS NULL") == []
    assert world.one("SELECT state FROM webhook_logs")["state"] == "processed"
    assert rejected.retry_outdated() == []


def test_rejects_that_stay_rejected_are_kept_with_their_reason(world):
    world.deliver(caller_number="+15550100001")
    deliveries.process("retreaver")
    (row,) = [json.loads(line) for line in say("rejects", "list", "--json").stdout.splitlines()]
    told = json.loads(say("rejects", "retry", "--json").stdout)
    assert (told["done"], told["rejected"], told["resolved"]) == (1, 1, 0)
    assert row["reason"] in say("rejects", "list").stdout


def test_recovering_names_the_calls_that_no_webhook_told_of(world):
    (first, *_) = world.sim.provider("retreaver").ids()
    world.follow(runs.start("retreaver", None, "full")[1])
    world.execute("DELETE FROM calls WHERE external_id = :id", id=first)
    since = world.one("SELECT now() - interval '400 days' AS at")["at"]
    run_id, hints = runs.start("retreaver", None, Mode.RECOVER, since)
    before = world.one("SELECT synced_until FROM sync_status WHERE provider = 'retreaver'")
    world.follow(hints)
    assert (recovered(run_id).missed, recovered(run_id).changed) == ([first], [])
    assert world.one("SELECT synced_until FROM sync_status WHERE provider = 'retreaver'") == before


def test_what_was_spooled_here_is_landed_without_a_receiver(world, settings_env):
    account = world.one("SELECT id FROM provider_configs WHERE provider_type = 'retreaver'")
    spool = Spool(settings_env().spool_dir, 10_000)
    assert drain_here() == set()
    spool.keep(
        Delivery(
            account_id=account["id"],
            provider="retreaver",
            event_type="completed",
            content_type="application/json",
            query="",
            body=b'{"call_uuid": "c1"}',
            verified=True,
        )
    )
    assert drain_here() == {"retreaver"}
    assert len(spool) == 0
    deliveries.process("retreaver")
    assert world.ids("retreaver") == ["c1"]
