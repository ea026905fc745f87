"""What an account's habits are: how late calls come, how many deliveries are usual; and the alert when they stop."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from calltrack.cli import calltrack
from calltrack.sync import alerts, arrivals, deliveries, lateness, runs
from calltrack.sync.arrivals import Usual

USUAL = timedelta(hours=24)


@pytest.fixture
def world(system):
    return system(records=20, days=0.5)


def late(world, provider="retreaver"):
    rows = world.rows("SELECT kind, seconds, calls FROM call_lateness ORDER BY kind, seconds")
    return {(row["kind"], row["seconds"]): row["calls"] for row in rows}


def overlap(world, *measured):
    world.execute("DELETE FROM call_lateness")
    for kind, seconds, calls in measured:
        world.execute(
            "INSERT INTO call_lateness (account_id, kind, seconds, calls) VALUES (:a, :k, :s, :c)",
            a=world.account_id(),
            k=kind,
            s=seconds,
            c=calls,
        )
    with world.engine.connect() as connection:
        return lateness.overlap(connection, world.account_id(), USUAL)


def test_the_first_sync_says_nothing_and_what_comes_after_it_does(world):
    world.sync("convoso")
    assert late(world) == {}
    (lost,) = world.rows("SELECT external_id, started_at FROM calls ORDER BY started_at LIMIT 1")
    world.execute("DELETE FROM calls WHERE external_id = :id", id=lost["external_id"])
    world.sim.world.add("convoso")
    world.sync("convoso")
    seconds = (datetime.now(UTC) - lost["started_at"]).total_seconds()
    (fresh, _), ((kind, bound), calls) = sorted(late(world).items())
    assert fresh <= ("visible", 64)  # it began a moment ago
    assert (kind, calls) == ("visible", 1)
    assert bound / 2 < seconds <= bound


def test_a_change_is_as_late_as_the_call_is_old_where_only_creation_is_listed(world):
    world.sync("convoso")
    world.execute("UPDATE calls SET disposition = 'x', content_digest = NULL, observations = '[[0, 0, 1, 1, \"00\"]]'")
    world.sync("convoso")
    assert sum(calls for (kind, seconds), calls in late(world).items() if kind == "visible" and seconds > 0) == 20


def test_a_call_that_webhooks_told_of_first_is_visible_when_a_list_first_shows_it(world):
    world.sync("retreaver")
    told = world.sim.world.add("retreaver")
    world.deliver(call_uuid=told.id)
    deliveries.process("retreaver")
    assert late(world) == {}
    for mode in ("incremental", "full"):
        world.sync("retreaver", mode)
        ((at, calls),) = late(world).items()
        assert (("visible", 0) <= at <= ("visible", 64), calls) == (True, 1)


def test_the_overlap_covers_all_but_one_in_a_thousand(world):
    hour = timedelta(hours=1)
    assert overlap(world, ("visible", 0, 999)) == USUAL  # not enough is known
    assert overlap(world, ("visible", 0, 1000)) == hour
    assert overlap(world, ("visible", 0, 9990), ("visible", 65536, 10)) == hour
    assert overlap(world, ("visible", 0, 9988), ("visible", 65536, 12)) == timedelta(seconds=65536)
    assert overlap(world, ("visible", 0, 10000), ("changed", 16384, 6), ("changed", 65536, 6)) == timedelta(
        seconds=16384
    )
    assert overlap(world, ("visible", 0, 1000), ("changed", 2**25, 50)) == timedelta(days=7)


def test_an_incremental_sync_reaches_back_by_what_was_measured(world):
    world.sync("convoso")
    until = world.one("SELECT synced_until FROM sync_status")["synced_until"]
    for calls, back in ((0, 24), (5000, 1)):
        world.execute("DELETE FROM call_lateness")
        world.execute("INSERT INTO call_lateness SELECT id, 'visible', 0, :c FROM provider_configs", c=calls)
        run_id, _ = runs.start("convoso", None, "incremental")
        assert world.run(run_id)["since"] == until - timedelta(hours=back)
        world.execute("UPDATE sync_runs SET state = 'cancelled' WHERE id = :id", id=run_id)


def test_deliveries_and_polled_calls_are_counted_by_the_hour_and_replays_are_not(world):
    world.sync("retreaver")
    for number in range(3):
        world.deliver(call_uuid=f"c{number}")
    deliveries.process("retreaver")
    world.sim.world.add("retreaver")
    world.sync("retreaver", "incremental")
    assert counted(world) == (3, 1)
    assert CliRunner().invoke(calltrack, ("webhooks", "replay", "--state", "processed")).exit_code == 0
    world.sync("retreaver")
    assert counted(world) == (3, 1)


def counted(world):
    row = world.one("SELECT sum(deliveries) AS deliveries, sum(polled) AS polled FROM arrivals")
    return row["deliveries"], row["polled"]


def usually(world, *, per_hour, polled, silent_hours):
    """Two weeks of deliveries, and then none, while polling finds calls."""
    world.deliver(call_uuid="the last one")
    world.execute("UPDATE webhook_logs SET received_at = now() - make_interval(hours => :h)", h=silent_hours)
    world.execute(
        "INSERT INTO arrivals (account_id, hour, deliveries, polled)"
        " SELECT :a, hour, CASE WHEN hour < now() - make_interval(hours => :h) THEN :n ELSE 0 END,"
        "  CASE WHEN hour > now() - make_interval(hours => :h) THEN :p ELSE 0 END"
        " FROM generate_series(date_trunc('hour', now() - interval '14 days'), now(), '1 hour') hour",
        a=world.account_id(),
        h=silent_hours,
        n=per_hour,
        p=polled,
    )
    arrivals.look()
    with world.engine.connect() as connection:
        return [alert["kind"] for alert in alerts.list_(connection)]


@pytest.mark.parametrize(
    ("per_hour", "polled", "silent_hours", "raised"),
    [
        (20, 2, 6, True),
        (20, 0, 6, False),  # nobody calls at all
        (1, 2, 6, False),  # it is always as quiet as that
        (1, 2, 30, True),
        (0, 9, 30, False),  # polling has always been the only way
    ],
)
def test_silence_is_a_fault_when_deliveries_were_to_be_expected_and_calls_went_on(
    world, per_hour, polled, silent_hours, raised
):
    found = usually(world, per_hour=per_hour, polled=polled, silent_hours=silent_hours)
    assert found == ([alerts.SILENCE] if raised else [])


def test_an_alert_is_opened_once_shown_and_closed_when_webhooks_are_back(world):
    assert usually(world, per_hour=20, polled=2, silent_hours=6) == [alerts.SILENCE]
    arrivals.look()
    (alert,) = [json.loads(line) for line in CliRunner().invoke(calltrack, ("alerts", "--json")).stdout.splitlines()]
    assert alert["account"] == "retreaver/default"
    assert "has sent no webhook since" in alert["message"]
    assert "has sent no webhook since" in CliRunner().invoke(calltrack, ("doctor",)).stdout
    world.deliver(call_uuid="back")
    arrivals.look()
    assert CliRunner().invoke(calltrack, ("alerts",)).stdout == "No alert is open.\n"
    assert "closed" in CliRunner().invoke(calltrack, ("alerts", "--all")).stdout


def test_a_quiet_night_is_usual():
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    hours = [
        {"hour": monday + timedelta(hours=number), "deliveries": 0 if number % 24 < 8 else 30}
        for number in range(14 * 24)
    ]
    usual = Usual.learned(hours)
    night = monday + timedelta(days=21)
    assert usual.expected(night, night + timedelta(hours=8)) == 0
    assert usual.expected(night, night + timedelta(hours=9)) == 30
    assert usual.expected(night + timedelta(hours=8, minutes=45), night + timedelta(hours=9)) == pytest.approx(7.5)
    assert Usual.learned([]).expected(night, night + timedelta(days=1)) == 0
