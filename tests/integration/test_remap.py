"""Mapping anew what was landed: the result of a remap is what today's mapper would have made of it from the start."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from calltrack import registry
from calltrack.cli import calltrack
from calltrack.db.session import driver
from calltrack.errors import FixConfiguration, RejectRecord
from calltrack.provider import Mapper
from calltrack.sync import deliveries, modes, operations, remap, shadow, store, sweep
from calltrack.sync.hints import Step

NOTHING = timedelta(0)
VALUES = "external_id, disposition, revenue, payout, converted, campaign_name, agent_name, provider_data, tags"


@pytest.fixture
def world(system):
    # long ago, where no slices are cut any more: at their edges a call may be read twice
    return system(records=30, now=datetime(2025, 1, 15, 9, 26, 53, tzinfo=UTC))


def snapshot(world, columns=VALUES):
    return world.rows(f"SELECT {columns} FROM calls ORDER BY provider, external_id")


def use(monkeypatch, provider, *, version, **changed):
    """Let the provider's mapper read so, and its deliveries too. Returns the provider as it was."""
    known = registry.get
    before = known(provider)

    def altered(read):
        def map_one(*given):
            record = read(*given)
            for name, change in changed.items():
                setattr(record, name, change(record))
            return record

        return map_one

    webhook = replace(before.webhook, map_delivery=altered(before.webhook.map_delivery))
    other = replace(before, mapper_version=version, map_call=altered(before.map_call), webhook=webhook)
    monkeypatch.setattr(registry, "get", lambda name: other if name == provider else known(name))
    return before


def begin(world, **how):
    with world.engine.begin() as connection:
        return remap.begin(connection, world.account_id(), **how)


def finish(operation):
    while (done := operations.advance(operation)) is not None:
        last = done
    return last


def set_mode(world, mode=None, mapper=None, provider="retreaver"):
    with world.engine.begin() as connection:
        return modes.set_mode(connection, world.account_id(provider), mode, mapper)


def report(world, provider="retreaver"):
    with world.engine.begin() as connection:
        reach = modes.reach(connection, world.account_id(provider))
        return shadow.difference(driver(connection).cursor(), reach)


def say(*words, code=0):
    done = CliRunner().invoke(calltrack, words)
    assert done.exit_code == code, done.output
    return done


WRONG = {"revenue": lambda _: None, "disposition": lambda _: "wrong"}


def test_a_remap_makes_what_the_mended_mapper_would_have_made(world, monkeypatch):
    everything = f"{VALUES}, observations, content_digest"
    world.deliver(call_uuid="told", revenue="12.50")
    deliveries.process("retreaver")
    world.sync("retreaver")
    right = snapshot(world, everything)

    world.execute("DELETE FROM calls")
    world.execute("UPDATE webhook_logs SET state = 'received'")
    with monkeypatch.context() as patch:
        use(patch, "retreaver", version=0, **WRONG)
        deliveries.process("retreaver")
        world.sync("retreaver")
        assert [row["disposition"] for row in snapshot(world)] == ["wrong"] * 31
    asked = world.sim.provider("retreaver").traffic.requests
    events = world.one("SELECT count(*) AS n FROM call_events")["n"]

    compared = remap.difference(finish(begin(world)))
    assert compared.counts["different"] == compared.counts["field disposition"] == 31
    assert compared.counts["field revenue"] == sum(row["revenue"] is not None for row in right)
    assert len(compared.examples["field disposition"]) == shadow.EXAMPLES
    assert [row["disposition"] for row in snapshot(world)] == ["wrong"] * 31  # nothing is written before it is wanted

    done = finish(begin(world, apply=True))
    assert (done.counts["calls_inserted"], done.counts["calls_updated"]) == (0, 31)
    assert snapshot(world, everything) == right
    assert world.sim.provider("retreaver").traffic.requests == asked
    assert world.one("SELECT count(*) AS n FROM call_events")["n"] == events + 31
    assert world.rows("SELECT id FROM shadow_calls") == []
    assert world.sync("retreaver")["unchanged"] == 30  # and the provider's list says nothing new


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_remap_that_was_killed_goes_on_where_it_was(world, monkeypatch, steps):
    monkeypatch.setattr(shadow, "CHUNK", 20)
    monkeypatch.setitem(remap.MOST, "deliveries", 2)
    for number in range(3):
        world.deliver(call_uuid=f"c{number}")
    deliveries.process("retreaver")
    with monkeypatch.context() as patch:
        use(patch, "retreaver", version=0, **WRONG)
        world.sync("retreaver")
    operation = begin(world, apply=True)
    for _ in range(steps):
        operations.advance(operation)
    with monkeypatch.context() as patch:
        for phase in remap.STEPS:
            patch.setitem(remap.STEPS, phase, killed_after(remap.STEPS[phase]))
        with pytest.raises(KeyboardInterrupt):  # nothing of this step counts
            operations.advance(operation)
    (hint,) = [hint for hint in sweep.sweep(NOTHING) if hint.step is Step.OPERATION]
    done = finish(hint.id)
    assert (done.state, done.counts["read"], done.counts["calls_updated"]) == ("completed", 33, 30)
    assert {row["disposition"] for row in snapshot(world)} == {None}


def killed_after(step):
    def do(*given):
        step(*given)
        raise KeyboardInterrupt

    return do


def test_what_is_told_during_a_remap_is_not_lost(world, monkeypatch):
    with monkeypatch.context() as patch:
        use(patch, "retreaver", version=0, **WRONG)
        world.sync("retreaver")
    compared = finish(begin(world))
    call = world.rows("SELECT external_id FROM calls ORDER BY external_id LIMIT 1")[0]["external_id"]
    later = (world.one("SELECT now() + interval '1 minute' AS at")["at"]).isoformat()
    world.deliver(uuid=call, updated_at=later, revenue="777.00", status="finished")
    world.deliver(call_uuid="new", revenue="5.00")
    deliveries.process("retreaver")
    with world.engine.begin() as connection:
        applied = remap.begin_apply(connection, compared)
    assert finish(applied).state == "completed"
    rows = {row["external_id"]: row for row in snapshot(world)}
    assert (str(rows[call]["revenue"]), str(rows["new"]["revenue"])) == ("777.000000", "5.000000")
    assert {row["disposition"] for row in rows.values()} == {None}


def test_without_the_older_payloads_what_they_gave_stays(world, monkeypatch):
    world.deliver(call_uuid="c1", revenue="1.00", agent_name="Ann")
    deliveries.process("retreaver")
    world.execute(
        "UPDATE webhook_logs SET received_at = now() - interval '9 days', processed_at = now() - interval '9 days'"
    )
    world.execute("DELETE FROM calls")
    world.execute("UPDATE webhook_logs SET state = 'received'")
    with monkeypatch.context() as patch:
        use(patch, "retreaver", version=0, disposition=lambda _: "wrong")
        deliveries.process("retreaver")
        world.execute("UPDATE webhook_logs SET processed_at = received_at")
        world.deliver(call_uuid="c1", payout="0.50")
        deliveries.process("retreaver")
    since = world.one("SELECT now() - interval '3 days' AS at")["at"]
    assert finish(begin(world, since=since, apply=True)).counts["read"] == 1
    (row,) = snapshot(world)
    assert (str(row["revenue"]), str(row["payout"])) == ("1.000000", "0.500000")


def test_what_was_rejected_becomes_a_call_and_what_is_rejected_now_stays(world, monkeypatch):
    known = world.sim.provider("retreaver").ids()

    def refuse(ids):
        def check(record):
            if record.external_id in ids:
                raise RejectRecord("The mapping does not know this.", "unknown_shape")
            return record.disposition

        return check

    with monkeypatch.context() as patch:
        use(patch, "retreaver", version=0, disposition=refuse(known[:3]))
        assert world.sync("retreaver")["rejected"] == 3
    use(monkeypatch, "retreaver", version=2, disposition=refuse(known[-2:]))
    done = finish(begin(world, apply=True))
    assert (done.counts["missing"], done.counts["rejected"], done.counts["untouched"]) == (3, 2, 2)
    assert sorted(world.ids("retreaver")) == sorted(known)


def test_one_remap_at_a_time_and_an_older_one_does_not_go_on(world):
    world.sync("retreaver")
    first = begin(world)
    with pytest.raises(FixConfiguration, match=f"Operation {first} is a remap of retreaver/default"):
        begin(world)
    with world.engine.begin() as connection:
        operations.cancel(connection, first)
    begin(world)
    with world.engine.begin() as connection:
        operations.resume(connection, first)
    with pytest.raises(FixConfiguration, match="begin the remap anew"):
        operations.advance(first)


def test_the_command_counts_first_and_asks(world, monkeypatch):
    with monkeypatch.context() as patch:
        use(patch, "retreaver", version=0, **WRONG)
        world.sync("retreaver")
    told = json.loads(say("remap", "retreaver", "--dry-run", "--json").stdout)
    assert (told["different"], told["fields"]["disposition"], told["applied"]) == (30, 30, False)
    assert "differ in disposition, such as" in say("remap", "retreaver", code=1).stderr  # nobody said yes
    assert {row["disposition"] for row in snapshot(world)} == {"wrong"}
    told = json.loads(say("remap", "retreaver", "--yes", "--json").stdout)
    assert (told["calls_updated"], told["applied"]) == (30, True)
    assert {row["disposition"] for row in snapshot(world)} == {None}
    assert "calls.remap_applied" in say("audit", "list").stdout
    assert "a remap of what was landed" in say("explain", world.ids("retreaver")[0]).stdout
    assert json.loads(say("remap", "retreaver", "--dry-run", "--json").stdout)["same"] == 30


@pytest.mark.parametrize("provider", ["retreaver", "convoso"])
def test_in_shadow_mode_no_call_is_written_and_going_live_catches_up(world, provider):
    world.sync(provider)
    everything = "provider, external_id, disposition, revenue, payout, status, provider_data"
    with_all = snapshot(world, everything)
    kept = sorted(world.ids(provider))[:10]
    world.execute("DELETE FROM calls WHERE NOT external_id = ANY(:kept)", kept=kept)
    world.execute(
        "UPDATE calls SET disposition = 'damaged', content_digest = NULL WHERE external_id = :one", one=kept[0]
    )
    before = snapshot(world, f"{everything}, observations, updated_at")

    assert set_mode(world, "shadow", provider=provider) is None
    run = world.sync(provider)
    assert (run["state"], run["inserted"]) == ("completed", 30)
    world.deliver(provider, call_uuid="told", call_id="told", revenue="4.00")
    deliveries.process(provider)
    assert snapshot(world, f"{everything}, observations, updated_at") == before
    found = report(world, provider)
    assert (found.counts["missing"], found.counts["untouched"]) == (21, 0)
    assert found.examples["missing"]
    listed = [json.loads(line) for line in say("accounts", "list", "--json").stdout.splitlines()]
    assert {account["provider"]: account["mode"] for account in listed}[provider] == "shadow"
    assert "is in shadow mode" in say("explain", "told", code=1).stdout

    done = finish(set_mode(world, "live", provider=provider))
    assert done.counts["calls_inserted"] == 21
    rows = {row["external_id"]: row for row in snapshot(world, everything)}
    assert rows.pop("told")["external_id"] == "told"
    assert list(rows.values()) == with_all
    assert world.sync(provider)["unchanged"] == 30
    assert world.rows("SELECT id FROM shadow_calls") == []


def test_what_is_stored_while_the_mode_is_switched_is_not_left_in_the_shadow(world, monkeypatch):
    set_mode(world, "shadow")
    _, hints = world.fetched()
    page = fullest_page(world)
    inside, go = threading.Event(), threading.Event()
    ingest = store.ingest

    def slowly(*given, **how):
        inside.set()
        assert go.wait(30)
        return ingest(*given, **how)

    monkeypatch.setattr(store, "ingest", slowly)
    with ThreadPoolExecutor(2) as side:
        storing = side.submit(store.store, page)
        assert inside.wait(30)
        switching = side.submit(set_mode, world, "live")
        until(lambda: world.rows("SELECT FROM pg_locks WHERE NOT granted"))
        go.set()
        storing.result(30)
        assert finish(switching.result(30)).state == "completed"
    world.follow(hints)
    world.assert_complete("retreaver")


def test_a_page_that_is_taken_just_after_the_mode_was_switched_is_not_left_in_the_shadow(world, monkeypatch):
    _, hints = world.fetched()
    page = fullest_page(world)
    rows = store.rows

    def switched_before(connection, *given):
        connection.execute(text("SELECT"))
        monkeypatch.setattr(store, "rows", rows)
        set_mode(world, "shadow")
        return rows(connection, *given)

    monkeypatch.setattr(store, "rows", switched_before)
    store.store(page)
    assert world.rows("SELECT FROM shadow_calls")
    assert finish(set_mode(world, "live")).state == "completed"
    world.follow(hints)
    world.assert_complete("retreaver")


def fullest_page(world):
    """The page with most calls."""
    return world.one("SELECT id FROM sync_pages ORDER BY length(body) DESC LIMIT 1")["id"]


def until(true, seconds=30):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.01)


def test_a_candidate_reads_beside_the_mapper_and_harms_nothing(world, monkeypatch):
    def candidate(raw, context):
        record = current.map_call(raw, context)
        if record.external_id == known[0]:
            raise ZeroDivisionError
        record.disposition = f"new {record.disposition}"
        return record

    current, known = registry.get("retreaver"), sorted(world.sim.provider("retreaver").ids())
    get = registry.get
    trying = replace(current, candidate=Mapper(2, candidate, current.webhook.map_delivery))
    with pytest.raises(FixConfiguration, match="has no candidate mapper"):
        set_mode(world, mapper="candidate")
    monkeypatch.setattr(registry, "get", lambda name: trying if name == "retreaver" else get(name))
    set_mode(world, mapper="candidate")
    assert world.sync("retreaver")["inserted"] == 30
    assert {row["disposition"] for row in snapshot(world)} == {None}
    found = report(world)
    assert (found.counts["different"], found.counts["field disposition"], found.counts["untouched"]) == (29, 29, 1)
    told = json.loads(say("shadow", "report", "retreaver", "--json").stdout)
    assert (told["fields"], told["untouched"]) == ({"disposition": 29}, 1)
    set_mode(world, mapper="current")
    assert world.rows("SELECT id FROM shadow_calls") == []
    with pytest.raises(FixConfiguration, match="has no shadow"):
        report(world)
    told = json.loads(say("remap", "retreaver", "--mapper", "candidate", "--json").stdout)  # of the archive, at once
    assert (told["fields"], told["applied"], told["rejected"]) == ({"disposition": 29}, False, 1)


def test_the_ledger_does_not_write_calls_of_a_shadowed_account(world):
    world.sync("retreaver")
    set_mode(world, "shadow")
    wanted = ("reconcile", "retreaver", "--since", "2026-01-01", "--repair")
    done = CliRunner().invoke(calltrack, wanted)
    assert isinstance(done.exception, FixConfiguration)
