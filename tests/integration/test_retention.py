"""Retention removes what is old and not needed, and nothing else; nobody takes what is left for all there was."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from calltrack.cli import calltrack
from calltrack.errors import FixConfiguration
from calltrack.sync import deliveries, explain, modes, operations, pull, remap, retention, runs
from tests.integration.test_remap import use

DAY = timedelta(days=1)


@pytest.fixture
def world(system):
    return system(records=60)


def age(world, days=100):
    """Let all that is there have been landed so much earlier."""
    values = {"age": days * DAY}
    world.execute("UPDATE sync_pages SET fetched_at = fetched_at - :age, stored_at = stored_at - :age", **values)
    world.execute(
        "UPDATE webhook_logs SET received_at = received_at - :age, processed_at = processed_at - :age", **values
    )
    world.execute("UPDATE call_events SET created_at = created_at - :age", **values)


def count(world, table):
    return world.one(f"SELECT count(*) AS n FROM {table}")["n"]


def remove(**kept):
    return retention.remove({name: DAY * days for name, days in kept.items()})[0]


def test_what_is_old_and_done_goes_and_calls_stay(world):
    world.deliver(call_uuid="told")
    deliveries.process("retreaver")
    world.sync("retreaver")
    before = world.rows("SELECT * FROM calls ORDER BY id")
    pages = count(world, "sync_pages")
    age(world)
    assert remove(pages=90, deliveries=90, events=90) == {"pages": pages, "deliveries": 1, "events": len(before)}
    assert [count(world, name) for name in ("sync_pages", "webhook_logs", "call_events")] == [0, 0, 0]
    assert world.rows("SELECT * FROM calls ORDER BY id") == before
    assert remove(pages=90, deliveries=90, events=90) == {}
    assert world.sync("retreaver")["unchanged"] == 60  # and the rest goes on as ever


def test_what_is_young_stays(world):
    world.deliver(call_uuid="told")
    deliveries.process("retreaver")
    world.sync("retreaver")
    assert remove(pages=1, deliveries=1, events=1) == {}


def test_what_is_not_done_stays_however_old(world):
    waiting = world.deliver(call_uuid="waits")
    failed = world.deliver(call_uuid="fails")
    world.execute("UPDATE webhook_logs SET state = 'failed', processed_at = now() WHERE id = :id", id=failed)
    for hint in runs.start("retreaver", None, "full")[1]:
        pull.fetch(hint.id)  # not stored
    (_, hints) = runs.start("convoso", None, "full")
    world.follow(hints)
    world.execute("UPDATE sync_runs SET state = 'failed' WHERE provider = 'convoso'")  # somebody may resume it
    pages = count(world, "sync_pages")
    age(world)
    found = retention.look({"pages": DAY, "deliveries": DAY})
    assert [(one.removable, one.held) for one in found] == [(0, pages - pending(world)), (0, 2)]
    assert remove(pages=1, deliveries=1) == {}
    assert count(world, "sync_pages") == pages
    assert [row["id"] for row in world.rows("SELECT id FROM webhook_logs ORDER BY id")] == [waiting, failed]


def pending(world):
    return world.one("SELECT count(*) AS n FROM sync_pages WHERE fetched_at IS NULL")["n"]


def test_what_a_rejected_record_came_with_stays_until_that_is_resolved(world):
    world.deliver(caller_number="no id")
    deliveries.process("retreaver")
    assert count(world, "rejected_records") == 1
    age(world)
    assert remove(deliveries=1) == {}
    world.execute("UPDATE rejected_records SET resolved_at = now()")
    assert remove(deliveries=1) == {"deliveries": 1}


def test_what_shadow_mode_landed_stays(world):
    world.execute("UPDATE provider_configs SET mode = 'shadow', shadow_since = now() - interval '1 year'")
    world.deliver(call_uuid="told")
    deliveries.process("retreaver")
    world.sync("retreaver")
    age(world)
    assert remove(pages=1, deliveries=1) == {}


def test_what_shadow_mode_landed_stays_until_it_has_become_calls(world):
    """Going live, a remap brings it to the calls; if that fails, it must find all of it the next time."""
    world.execute("UPDATE provider_configs SET mode = 'shadow', shadow_since = now() - interval '1 year'")
    world.sync("retreaver")
    age(world)
    with world.engine.begin() as connection:
        operation = modes.set_mode(connection, world.account_id(), "live", None)
    assert remove(pages=1) == {}
    world.execute("UPDATE operations SET state = 'failed' WHERE id = :id", id=operation)
    assert remove(pages=1) == {}
    assert finish(begin(world, apply=True)).state == "completed"
    world.assert_complete("retreaver")
    assert remove(pages=1)["pages"] > 0


def test_a_record_that_is_rejected_anew_stands_for_the_delivery_that_is_there(world):
    """Tried again, it is as trustworthy as that one was: the first one is gone."""
    for _ in range(2):
        world.deliver(caller_number="no id")
        deliveries.process("retreaver")
        latest = world.one("SELECT id, delivery_id FROM rejected_records")
        assert world.one("SELECT id FROM webhook_logs")["id"] == latest["delivery_id"]
        world.execute("UPDATE rejected_records SET resolved_at = now()")
        age(world)
        assert remove(deliveries=1) == {"deliveries": 1}
    assert count(world, "rejected_records") == 1


@pytest.mark.parametrize("removed", [False, True])
def test_a_late_delivery_loses_against_a_page_that_is_gone(world, removed):
    """Convoso's records have no version: a page that confirmed a call must go on winning."""
    world.sync("convoso")
    call = world.one("SELECT external_id, disposition FROM calls WHERE provider = 'convoso' LIMIT 1")
    world.deliver("convoso", "call_completed", call_log_id=call["external_id"], id=call["external_id"], status="LATE")
    world.execute("UPDATE webhook_logs SET received_at = received_at - interval '50 days'")  # landed, and waits
    world.sync("convoso")  # shows the call as it was
    assert count(world, "sync_pages WHERE confirmed IS NOT NULL")
    world.execute("UPDATE sync_pages SET fetched_at = fetched_at - interval '60 days' WHERE confirmed IS NULL")
    shift_stamps(world, 60)
    world.execute(
        "UPDATE sync_pages SET fetched_at = fetched_at - interval '40 days', stored_at = now() - interval '40 days'"
        " WHERE confirmed IS NOT NULL"
    )
    if removed:
        assert remove(pages=30)["pages"] > 0
        assert not count(world, "sync_pages WHERE confirmed IS NOT NULL")
    deliveries.process("convoso")
    now = world.one("SELECT disposition FROM calls WHERE external_id = :id", id=call["external_id"])
    assert now["disposition"] == call["disposition"]


def shift_stamps(world, days):
    """Let the rows remember that what they hold was landed earlier."""
    world.execute(
        "UPDATE calls SET observations = (SELECT jsonb_agg(jsonb_set(one, '{1}', to_jsonb((one ->> 1)::bigint - :us)))"
        " FROM jsonb_array_elements(observations) one)",
        us=days * 86_400_000_000,
    )


def finish(operation):
    while (done := operations.advance(operation)) is not None:
        last = done
    return last


def begin(world, **how):
    with world.engine.begin() as connection:
        return remap.begin(connection, world.account_id(), **how)


def test_a_remap_does_not_take_what_is_left_for_all_there_was(world, monkeypatch):
    """Without its pages, a call keeps what it has: the newer mapper has nothing better to say."""
    world.sync("retreaver")
    shift_stamps(world, 100)
    old = world.rows("SELECT id, disposition, agent_name, campaign_name FROM calls ORDER BY id")
    age(world)
    remove(pages=90)
    told = world.ids("retreaver")[0]
    world.deliver(call_uuid=told, caller_name="New")
    deliveries.process("retreaver")
    use(monkeypatch, "retreaver", version=99)
    done = finish(begin(world, apply=True))
    assert done.state == "completed"
    assert world.rows("SELECT id, disposition, agent_name, campaign_name FROM calls ORDER BY id") == old


def test_a_remap_under_way_is_not_robbed(world):
    world.sync("retreaver")
    age(world)
    operation = begin(world)
    assert remove(pages=90) == {}
    world.execute("UPDATE operations SET state = 'cancelled'")
    assert remove(pages=90)["pages"] > 0
    world.execute("UPDATE operations SET state = 'running'")
    with pytest.raises(FixConfiguration, match="begin it anew"):
        operations.advance(operation)


def test_explain_says_that_older_ones_are_not_kept(world):
    world.sync("retreaver")
    age(world)
    remove(pages=90, events=30)
    known = world.ids("retreaver")[0]
    with world.engine.connect() as connection:
        (told,) = explain.explain(connection, known, "retreaver")
    assert told.kept_since.keys() == {"pages", "events"}
    assert "is not kept" in told.given_by["status"]
    said = CliRunner().invoke(calltrack, ["explain", known])
    assert "Older pages than" in said.output


def test_the_command(world):
    world.sync("retreaver")
    age(world)
    pages = count(world, "sync_pages")

    def say(*words, code=0):
        done = CliRunner().invoke(calltrack, ["retention", *words])
        assert done.exit_code == code, done.output
        return done

    assert "CALLTRACK_RETENTION_PAGES" in str(CliRunner().invoke(calltrack, ["retention"]).exception)
    dry = json.loads(say("--pages", "90d", "--dry-run", "--json").stdout)
    assert (dry["found"]["pages"]["can_go"], dry["removed"]) == (pages, {})
    say("--pages", "90d", code=1)  # nobody said yes
    assert count(world, "sync_pages") == pages
    assert json.loads(say("--pages", "90d", "--yes", "--json").stdout)["removed"] == {"pages": pages}
    assert world.one("SELECT removed FROM retention WHERE kind = 'pages'")["removed"] == pages
    assert world.one("SELECT count(*) AS n FROM audit_log WHERE action = 'retention.removed'")["n"] == 1


def test_the_task_does_as_the_settings_say(world, monkeypatch, settings_env):
    world.sync("retreaver")
    age(world)
    monkeypatch.setenv("CALLTRACK_RETENTION_EVENTS", "90d")
    settings_env.cache_clear()
    from tasks.retention import remove_old

    remove_old.run()
    assert (count(world, "call_events"), count(world, "sync_pages") > 0) == (0, True)
