"""Landed deliveries become rows, in batches; what cannot is told apart and does not hold up the rest."""

import pytest
from sqlalchemy.exc import OperationalError

from calltrack.sync import deliveries, sweep
from calltrack.sync.hints import Hint, Step


@pytest.fixture
def world(system):
    return system(records=20)


def state(world, delivery_id):
    row = world.one(
        "SELECT state, reason, attempts, call_id, processed_at FROM webhook_logs WHERE id = :i", i=delivery_id
    )
    assert (row["processed_at"] is None) == (row["state"] in ("received", "failed"))
    return row["state"], row["reason"]


def call(world, external_id):
    return world.one("SELECT * FROM calls WHERE external_id = :id", id=external_id)


def test_a_batch_becomes_rows(world):
    landed = [world.deliver(call_uuid=f"c{n}", caller_number="+15550100001") for n in range(5)]
    assert deliveries.process("retreaver") == 5
    assert deliveries.process("retreaver") == 0
    assert {state(world, one) for one in landed} == {("processed", None)}
    assert sorted(world.ids("retreaver")) == [f"c{n}" for n in range(5)]
    assert call(world, "c0")["status"] == "completed"
    linked = world.one("SELECT call_id FROM webhook_logs WHERE id = :i", i=landed[0])
    assert linked["call_id"] == call(world, "c0")["id"]


def test_events_in_any_order_give_the_same_row(world):
    for event in ("converted", "completed", "answered", "initiated"):
        extra = {"revenue": "25.00"} if event == "converted" else {}
        world.deliver(event=event, call_uuid="c1", **extra)
    deliveries.process("retreaver")
    row = call(world, "c1")
    assert (row["status"], str(row["revenue"]), row["converted"]) == ("completed", "25.000000", True)


def test_money_that_nobody_vouches_for_is_not_taken(world):
    world.deliver(verified=False, call_uuid="c1", revenue="99", caller_number="+15550100001")
    deliveries.process("retreaver")
    row = call(world, "c1")
    assert (row["revenue"], row["caller_number"]) == (None, "+15550100001")


def test_the_api_record_fills_what_a_notice_left_out(world):
    (external_id, *_) = world.sim.provider("retreaver").ids()
    world.deliver(event="initiated", call_uuid=external_id)
    deliveries.process("retreaver")
    world.sync("retreaver")
    assert call(world, external_id)["provider_data"]["uuid"] == external_id
    world.assert_complete("retreaver")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"call_uuid": "[call_uuid]"}, ("rejected", "no_id")),
        ({"call_uuid": "null"}, ("rejected", "no_id")),
        ({"body": b"{not json"}, ("rejected", "unusable_body")),
        ({"provider": "convoso", "event": "lead", "lead_id": "7"}, ("ignored", "not_a_call")),
        ({"event": "something new", "call_uuid": "c9"}, ("processed", None)),
    ],
)
def test_what_becomes_of_odd_deliveries(world, sent, expected):
    odd = world.deliver(**sent)
    fine = world.deliver(sent.get("provider", "retreaver"), call_uuid="c1", call_log_id="c1")
    world.follow([Hint(Step.DELIVERIES, sent.get("provider", "retreaver"))])
    assert state(world, odd) == expected
    assert state(world, fine) == ("processed", None)


def test_a_delivery_that_breaks_us_is_tried_again_and_then_given_up(world, monkeypatch):
    bad = world.deliver(call_uuid="bad")
    fine = world.deliver(call_uuid="fine")
    ingest = deliveries.ingest

    def fragile(cursor, batch, **how):
        if any(one.record.external_id == "bad" for one in batch):
            raise RuntimeError
        return ingest(cursor, batch, **how)

    monkeypatch.setattr(deliveries, "ingest", fragile)
    deliveries.process("retreaver")
    assert state(world, fine) == ("processed", None)
    assert state(world, bad) == ("received", "processing_failed")
    for _ in range(deliveries.MAX_ATTEMPTS):
        world.execute("UPDATE webhook_logs SET next_attempt_at = now()")
        deliveries.process("retreaver")
    assert state(world, bad) == ("failed", "processing_failed")


def test_while_postgres_is_away_no_delivery_is_blamed(world, monkeypatch):
    landed = world.deliver(call_uuid="c1")

    def away(*_):
        raise OperationalError("SELECT", {}, ConnectionError())

    monkeypatch.setattr(deliveries, "settle", away)
    with pytest.raises(OperationalError):
        deliveries.process("retreaver")
    assert world.one("SELECT attempts FROM webhook_logs WHERE id = :i", i=landed)["attempts"] == 0


def test_the_sweeper_hints_at_deliveries_that_nobody_heard_of(world):
    world.deliver(call_uuid="c1")
    assert sweep.sweep() == []  # the receiver's own message is still on its way
    world.execute("UPDATE webhook_logs SET next_attempt_at = now() - interval '3 seconds'")
    assert sweep.sweep() == [Hint(Step.DELIVERIES, "retreaver")]


def test_a_flood_is_left_to_the_next_message(world):
    for number in range(7):
        world.deliver(call_uuid=f"c{number}")
    monkey = pytest.MonkeyPatch()
    monkey.setattr(deliveries, "BATCH", 3)
    assert deliveries.drain("retreaver", batches=2) == [Hint(Step.DELIVERIES, "retreaver")]
    assert deliveries.drain("retreaver", batches=2) == []
    monkey.undo()
    assert len(world.ids("retreaver")) == 7
