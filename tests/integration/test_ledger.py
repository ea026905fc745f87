"""The completeness ledger: each id in exactly one state, and what is missing or damaged comes back."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calltrack.db.session import engine
from calltrack.sync import runs, schedule
from calltrack.sync.ledger import buckets
from calltrack.sync.ledger.report import report
from calltrack.sync.ledger.settle import STATES


@pytest.fixture
def world(system):
    return system(records=60, days=0.2)


def reconcile(world, provider, repair=False, hours=6):
    """Check the last hours, as the command does."""
    account = world.one("SELECT id FROM provider_configs WHERE provider_type = :p", p=provider)["id"]
    now = world.one("SELECT now() AS at")["at"]
    with engine().begin() as connection:
        made = buckets.make(connection, account, provider, now - timedelta(hours=hours), now)
    for bucket in made:
        with engine().begin() as connection:
            hints = buckets.begin_check(connection, bucket, repair=repair)
        world.follow(hints)
    with engine().connect() as connection:
        assert buckets.under_way(connection, made) == []
        return report(connection, made)


def in_one_state_each(found):
    listed = sum(found.counts[state] for state in STATES)
    assert listed == found.counts["reported"] + len(found.extra)


@pytest.mark.parametrize("provider", ["retreaver", "convoso"])
def test_what_was_synced_is_all_accounted_for(world, provider):
    world.sync(provider)
    found = reconcile(world, provider)
    assert found.complete
    in_one_state_each(found)
    assert found.counts["reported"] == found.counts["stored"] == 60
    assert all(bucket["ids_digest"] for bucket in found.buckets)
    status = world.one("SELECT status FROM sync_status WHERE provider = :p", p=provider)
    assert status["status"] == "completed"


@pytest.mark.parametrize("provider", ["retreaver", "convoso"])
def test_missing_damaged_and_invented_rows_are_found_and_repaired(world, provider):
    world.sync(provider)
    lost, damaged, *_ = world.sim.provider(provider).ids()
    world.execute("DELETE FROM calls WHERE external_id = :id", id=lost)
    world.execute("UPDATE calls SET duration_seconds = 99999, buyer = 'x' WHERE external_id = :id", id=damaged)
    world.execute(
        "INSERT INTO calls (id, account_id, provider, external_id, started_at) SELECT gen_random_uuid(), account_id,"
        " provider, 'invented', started_at FROM calls WHERE external_id = :id",
        id=damaged,
    )
    found = reconcile(world, provider)
    assert not found.complete
    in_one_state_each(found)
    assert found.missing == found.unexplained == [lost]
    assert "duration_seconds" in found.mismatched[damaged]
    assert (found.extra, found.repaired) == (["invented"], [])
    repaired = reconcile(world, provider, repair=True)
    assert repaired.complete
    in_one_state_each(repaired)
    assert sorted(repaired.repaired) == sorted([lost, damaged])
    assert (repaired.missing, repaired.unexplained) == ([lost], [])
    assert world.one("SELECT duration_seconds FROM calls WHERE external_id = :id", id=damaged) != 99999
    again = reconcile(world, provider)
    assert (again.repaired, again.missing, again.mismatched) == ([], [], {})


def test_records_that_nobody_can_use_are_rejected_with_their_reason(system):
    world = system(records=60, days=0.2, habits="blank_ids=0.1")
    world.sync("retreaver")
    found = reconcile(world, "retreaver")
    in_one_state_each(found)
    assert found.complete
    assert found.counts["rejected"] == len(world.sim.provider("retreaver").rejected()) > 0


def test_a_webhook_that_was_lost_is_healed_by_the_tick(world):
    world.sync("retreaver")
    assert buckets.begin_due() != []  # the newest bucket, at once
    assert buckets.begin_due() == []  # it is under way
    world.execute("UPDATE sync_runs SET state = 'cancelled' WHERE state = 'running'")
    world.execute("UPDATE ledger_buckets SET run_id = NULL, next_check_at = NULL")
    told = world.sim.world.add("retreaver")
    world.execute("UPDATE provider_configs SET next_reconcile_at = now()")
    world.follow(buckets.begin_due())
    assert told.id in world.ids("retreaver")
    bucket = world.one("SELECT * FROM ledger_buckets WHERE checks > 0")
    assert bucket["repaired"] == 1
    assert bucket["next_check_at"] == bucket["until"] + timedelta(hours=1)
    due = world.one("SELECT next_reconcile_at - now() AS wait FROM provider_configs WHERE provider_type = 'retreaver'")
    assert timedelta(minutes=4) < due["wait"] <= timedelta(minutes=5)


def test_closed_buckets_are_checked_on_a_ladder_and_failures_come_again(world):
    world.sync("retreaver")
    found = reconcile(world, "retreaver", hours=30)
    oldest = found.buckets[0]
    assert oldest["next_check_at"] in {oldest["until"] + timedelta(hours=hours) for hours in (24, 72)}
    world.execute("UPDATE ledger_buckets SET next_check_at = now() WHERE id = :id", id=oldest["id"])
    world.execute("UPDATE provider_configs SET reconcile_every = '0'")
    assert len(buckets.begin_due()) == 1
    run = world.one("SELECT run_id FROM ledger_buckets WHERE run_id IS NOT NULL")["run_id"]
    with engine().begin() as connection:
        runs.fail(connection, run, "gave_up", "It broke.")
    bucket = world.one("SELECT * FROM ledger_buckets WHERE id = :id", id=oldest["id"])
    assert (bucket["run_id"], bucket["reason"]) == (None, "It broke.")
    assert bucket["next_check_at"] is not None


def test_a_check_is_in_nobodys_way(world):
    world.sync("retreaver")
    buckets.begin_due()
    assert world.sync("retreaver")["state"] == "completed"
    assert schedule.begin_queued() == []


@given(since=st.integers(0, 10**9), seconds=st.integers(1, 40 * 86400))
def test_buckets_cover_a_range_without_gaps_or_overlaps(since, seconds):
    since = datetime.fromtimestamp(since, UTC)
    until = since + timedelta(seconds=seconds)
    made = list(buckets.cut(since, until))
    assert (made[0][0], made[-1][1]) == (since, until)
    assert all(first < last for first, last in made)
    assert all(one[1] == other[0] for one, other in pairwise(made))


@pytest.mark.parametrize("provider", ["retreaver", "convoso"])
def test_calls_that_only_we_have_are_asked_for_by_their_ids(world, provider):
    """Some are gone; one is there, only not where our row says that it was."""
    world.sync(provider)
    moved = world.one(
        "SELECT external_id AS id, started_at FROM calls WHERE provider = :p ORDER BY started_at LIMIT 1", p=provider
    )
    world.execute(
        "UPDATE calls SET started_at = started_at + interval '2 hours' WHERE external_id = :id", id=moved["id"]
    )
    world.execute(
        "INSERT INTO calls (id, account_id, provider, external_id, started_at) SELECT gen_random_uuid(), account_id,"
        " provider, 'made up', started_at FROM calls WHERE external_id = :id",
        id=moved["id"],
    )
    found = reconcile(world, provider, repair=True)
    in_one_state_each(found)
    assert found.extra == ["made up"]
    (gone,) = world.rows("SELECT reason FROM ledger_ids WHERE external_id = 'made up'")
    assert gone["reason"] == "the provider does not have it any more"
    row = world.one("SELECT started_at FROM calls WHERE external_id = :id", id=moved["id"])
    assert row["started_at"] == moved["started_at"]
    asked = world.rows("SELECT cursor, state FROM sync_pages WHERE cursor ? 'call'")
    assert {(page["cursor"]["call"], page["state"]) for page in asked} >= {("made up", "stored")}
    assert reconcile(world, provider).complete
