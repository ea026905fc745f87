"""Syncing from simulated providers into real Postgres: complete, once, and however it is disturbed."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import text

from calltrack import registry
from calltrack.client.retry import decide
from calltrack.db import session
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration, TooManyRequests
from calltrack.seldom import Seldom
from calltrack.sync import parking, pull, runs, schedule, store, sweep, work
from calltrack.sync.hints import Step
from calltrack.sync.work import Fetched, Work, account_of, claim
from simulator import World

PROVIDERS = ("retreaver", "convoso")
COUNTS = ("fetched", "inserted", "updated", "unchanged", "rejected", "duplicates", "excluded")
ROWS = "SELECT xmin, ctid, * FROM calls ORDER BY id"
AT_ONCE = timedelta(seconds=-1)
#: A range that ends here is cut into the same slices whenever the tests run. Providers that are asked by the second are
#: asked for a little more than each slice: a call at an edge is then read twice, and no such call is in these worlds.
THEN = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_second_sync_finds_everything_unchanged(system, provider):
    world = system(habits="numbers_as_strings, mixed_money, blank_ids=0.02", now=THEN)
    first = world.sync(provider, until=THEN)
    before = world.rows(ROWS)
    second = world.sync(provider, until=THEN)
    world.assert_complete(provider)
    assert first["state"] == second["state"] == "completed"
    assert (first["inserted"], first["rejected"]) == (230, first["fetched"] - 230)
    assert (second["unchanged"], second["updated"], second["inserted"]) == (230, 0, 0)
    assert world.rows(ROWS) == before


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_call_at_the_edge_of_two_slices_is_stored_once(system, provider):
    edge = THEN.replace(hour=0, minute=0, second=0) - timedelta(days=1)
    after = min(call.created_at for call in World(records=230, now=THEN).calls(provider) if call.created_at > edge)
    world = system(now=THEN - (after - edge))  # then it begins at the edge, to the microsecond
    run = world.sync(provider, until=THEN)
    world.assert_complete(provider)
    assert any(call.created_at == edge for call in world.sim.world.calls(provider))
    assert (run["inserted"], run["unchanged"], run["fetched"]) == (230, 1, 231)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_record_is_in_exactly_one_count(system, provider):
    run = system(habits="blank_ids=0.05, duplicates_across_pages=7").sync(provider)
    assert run["rejected"] > 0
    assert run["fetched"] == sum(run[name] for name in COUNTS[1:])


def test_records_without_an_id_are_kept_with_their_reason(system):
    world = system(habits="blank_ids=0.05")
    world.sync("retreaver")
    world.sync("retreaver")
    rejects = world.rows("SELECT reason, repeats FROM rejected_records")
    assert len(rejects) == len(world.sim.provider("retreaver").rejected())
    assert {(row["reason"], row["repeats"]) for row in rejects} == {("no_id", 1)}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_incremental_sync_brings_late_calls_and_late_changes(system, provider):
    habits = "late_changes=0.5, late_calls=0.2, late_after=30"
    world = system(habits=habits, now=datetime.now(UTC), days=0.02)
    world.sync(provider)
    world.sim.world.clock.advance(seconds=60)
    run = world.sync(provider, "incremental")
    world.assert_complete(provider)
    assert run["updated"] > 0
    assert run["inserted"] > 0


def test_a_range_too_large_to_page_through_is_cut(system):
    world = system(accounts_at=(), records=230)
    world.add_account("convoso", page_size="20", offset_cap="60")
    run = world.sync("convoso")
    world.assert_complete("convoso")
    states = {row["state"] for row in world.rows("SELECT state FROM sync_slices WHERE run_id = :id", id=run["id"])}
    assert states == {"exhausted", "split"}


@pytest.mark.parametrize("dialect", ["v1", "v3", "v4"])
def test_other_versions_of_the_list_are_read(system, dialect):
    world = system(accounts_at=())
    world.add_account("retreaver", dialect=dialect)
    assert world.sync("retreaver")["inserted"] == 230
    world.assert_complete("retreaver")


def test_lead_recordings_are_read(system):
    world = system(accounts_at=())
    world.add_account("convoso", dialect="recordings")
    assert world.sync("convoso")["state"] == "completed"
    world.assert_complete("convoso")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_faults_of_the_provider_only_delay(system, provider):
    world = system(habits="server_errors=0.2, html_answers=0.1, cut_json=0.1, cut_connections=0.1")
    world.execute('UPDATE provider_configs SET settings = settings || \'{"max_retries": "100"}\'')
    run = world.sync(provider)
    while run["state"] == "running":  # the breaker opened
        world.wait_no_longer()
        world.follow(sweep.sweep(AT_ONCE))
        run = world.run(run["id"])
    assert run["state"] == "completed"
    world.assert_complete(provider)


def test_refused_credentials_stop_the_run_and_resuming_finishes_it(system):
    world = system()
    account = world.one("SELECT * FROM provider_configs WHERE provider_type = 'retreaver'")
    with world.engine.begin() as connection:
        wrong = world.add_account("retreaver", "wrong", api_key="not-the-key")
        connection.execute(text("UPDATE provider_configs SET name = 'right' WHERE id = :id"), {"id": account["id"]})
    run_id, hints = runs.start("retreaver", "wrong", "full")
    world.follow(hints)
    run = world.run(run_id)
    assert (run["state"], run["reason"]) == ("failed", "credentials_refused")
    assert "not-the-key" not in run["error"]
    noted = world.one("SELECT is_active, health FROM provider_configs WHERE id = :id", id=wrong.id)
    assert noted["is_active"]
    assert noted["health"] == run["error"]


def test_an_outage_parks_the_run_which_goes_on_by_itself(system):
    world = system(habits="server_errors=1")
    world.execute('UPDATE provider_configs SET settings = settings || \'{"max_retries": "0"}\'')
    run = world.sync("retreaver")
    for _ in range(2):  # it is asked again, and fails again: the simulator fails three times in a row, no more
        world.wait_no_longer()
        world.follow(sweep.sweep(AT_ONCE))
    run = world.run(run["id"])
    assert run["state"] == "running"
    assert run["reason"] in {"provider_failed", "breaker_open"}
    assert run["error"].startswith("Parked: ")
    world.sim.provider("retreaver").habits = world.sim.provider("retreaver").habits.parse("")
    world.wait_no_longer()
    world.follow(sweep.sweep(AT_ONCE))
    run = world.run(run["id"])
    assert (run["state"], run["reason"], run["error"]) == ("completed", None, None)
    world.assert_complete("retreaver")


@pytest.mark.parametrize("spoilt", ["a page beside it was answered", "it has lasted too long"])
def test_no_outage_is_waited_for_where_only_one_page_fails_or_for_ever(system, spoilt):
    world = system(habits="server_errors=1")
    world.execute('UPDATE provider_configs SET settings = settings || \'{"max_retries": "0"}\'')
    run = world.sync("retreaver")
    if spoilt == "it has lasted too long":
        world.execute("UPDATE sync_pages SET failing_since = now() - interval '25 hours'")
    else:
        world.execute("UPDATE sync_pages SET fetched_at = now() WHERE id = (SELECT max(id) FROM sync_pages)")
    world.wait_no_longer()
    world.follow(sweep.sweep(AT_ONCE))
    run = world.run(run["id"])
    assert (run["state"], run["reason"]) == ("failed", "provider_failed")
    world.sim.provider("retreaver").habits = world.sim.provider("retreaver").habits.parse("")
    world.wait_no_longer()
    world.follow(runs.resume_run(run["id"]))
    assert world.run(run["id"])["state"] == "completed"
    world.assert_complete("retreaver")


def test_the_sweeper_finishes_what_lost_messages_left(system):
    world = system()
    lost = iter(range(1000))
    run_id, hints = runs.start("retreaver", None, "full")
    world.follow(hints, lose=lambda _: next(lost) % 3 == 1)
    assert world.run(run_id)["state"] == "running"
    for _ in range(20):
        world.follow(sweep.sweep(AT_ONCE))
    assert world.run(run_id)["state"] == "completed"
    world.assert_complete("retreaver")


def test_a_page_that_was_fetched_and_not_stored_is_found(system):
    world = system()
    run_id, hints = runs.start("convoso", None, "full")
    for hint in hints:
        pull.fetch(hint.id)
    for _ in range(5):
        world.follow(sweep.sweep(AT_ONCE))
    assert world.run(run_id)["state"] == "completed"
    world.assert_complete("convoso")


def test_doubled_and_disordered_messages_do_nothing(system):
    world = system()
    run_id, hints = runs.start("retreaver", None, "full")
    seen = []
    world.follow(hints, shuffle=7, lose=seen.append)
    for hint in seen:
        assert pull.fetch(hint.id) == Fetched()
        assert store.store(hint.id) is None
    run = world.run(run_id)
    assert (run["state"], run["inserted"], run["fetched"]) == ("completed", 230, 230)


def test_a_page_being_fetched_is_not_fetched_twice(system):
    world = system()
    _, hints = runs.start("retreaver", None, "full")
    world.execute("UPDATE sync_pages SET leased_until = now() + interval '1 minute'")
    assert pull.fetch(hints[0].id) == Fetched()
    world.execute("UPDATE sync_pages SET leased_until = now() - interval '1 minute'")
    assert pull.fetch(hints[0].id).landed


def test_two_runs_over_the_same_range_take_turns(system):
    world = system()
    first, hints = runs.start("retreaver", None, "full")
    second, nothing = runs.start("retreaver", None, "full")
    assert nothing == []
    assert world.run(second)["state"] == "queued"
    assert runs.start("retreaver", None, "full") == (second, [])
    world.follow(hints)
    world.follow(schedule.begin_queued())
    assert {world.run(run)["state"] for run in (first, second)} == {"completed"}


def test_other_accounts_do_not_wait(system):
    system()
    assert runs.start("retreaver", None, "full")[1]
    assert runs.start("convoso", None, "full")[1]


def test_a_cancelled_run_fetches_no_more(system):
    world = system()
    run_id, hints = runs.start("retreaver", None, "full")
    runs.cancel_run(run_id)
    assert pull.fetch(hints[0].id) == Fetched()
    assert world.run(run_id)["state"] == "cancelled"
    with pytest.raises(FixConfiguration, match="not under way"):
        runs.cancel_run(run_id)
    world.follow(runs.resume_run(run_id))
    assert world.run(run_id)["state"] == "completed"


@pytest.mark.parametrize("habit", ["endless_next", "repeated_cursor"])
def test_paging_that_never_ends_stops_with_a_reason(system, habit):
    world = system(records=400, habits=habit, days=1.0)
    run = world.sync("retreaver")
    assert (run["state"], run["reason"]) == ("failed", "endless_pages")
    assert run["inserted"] > 0


def test_a_link_to_another_host_is_not_followed(system):
    world = system(habits="other_host_link")
    world.sync("retreaver")
    world.assert_complete("retreaver")
    assert world.sim.strayed == 0


def test_calls_that_arrive_while_reading_do_not_hide_others(system):
    world = system(habits="page_shift=3")
    before = set(world.sim.provider("retreaver").ids())
    world.sync("retreaver")
    assert before <= set(world.ids("retreaver"))
    world.sync("retreaver", "incremental")
    assert len(world.ids("retreaver")) == len(set(world.ids("retreaver")))


def test_a_long_wait_is_parked_in_its_row(system):
    world = system()
    _, hints = runs.start("retreaver", None, "full")
    with world.engine.begin() as connection:
        page = claim(connection, hints[0].id)
        account = account_of(connection, page["account_id"])
    provider = registry.get("retreaver")
    claimed = Work(page, account, provider, provider.calls({}))
    error = TooManyRequests(wait=3600)
    assert parking.park(claimed, error, decide(error, 1, 8)) == Fetched()
    parked = world.one("SELECT *, next_attempt_at - now() AS wait FROM sync_pages WHERE id = :id", id=page["id"])
    assert timedelta(minutes=59) < parked["wait"] <= timedelta(minutes=61)
    assert (parked["attempts"], parked["reason"]) == (0, "too_many_requests")
    assert sweep.sweep(AT_ONCE) == []
    assert pull.fetch(hints[1].id) == Fetched()  # the whole account waits


def test_progress_is_in_the_row_and_published(system, broker):
    world = system(records=2100, now=THEN)
    heard = broker.pubsub()
    heard.subscribe("calltrack:progress")
    run = world.sync("convoso", until=THEN)
    assert run["expected"] == run["fetched"] == 2100
    told = []
    while (message := heard.get_message(timeout=1)) is not None:
        told.append(message)
    said = [orjson.loads(message["data"]) for message in told if message["type"] == "message"]
    told = [(one["fetched"] // 1000, one["status"]) for one in said]
    assert told == [(1, "running"), (2, "running"), (2, "completed")]
    heard.close()


def test_due_syncs_are_queued_once_and_rescheduled(system):
    world = system()
    world.execute("UPDATE provider_configs SET next_full_at = now() - interval '1 second'")
    queued = schedule.queue_due()
    assert len(queued) == 2
    assert schedule.queue_due() == []
    due = world.one("SELECT min(next_full_at) - now() AS wait, max(next_full_at)::time AS at FROM provider_configs")
    assert timedelta() < due["wait"] <= timedelta(days=1)
    assert str(due["at"]) == "02:00:00"
    hints = schedule.begin_queued()
    assert {hint.step for hint in hints} == {Step.FETCH}
    world.follow(hints)
    assert {run["mode"] for run in world.rows("SELECT mode FROM sync_runs WHERE state = 'completed'")} == {"full"}


def test_an_account_that_is_disabled_is_left_alone(system):
    world = system()
    _, hints = runs.start("retreaver", None, "full")
    world.execute("UPDATE provider_configs SET is_active = false, next_full_at = now() - interval '1 second'")
    assert schedule.queue_due() == []
    assert pull.fetch(hints[0].id) == Fetched()
    assert sweep.sweep(AT_ONCE) == []


def test_a_missing_key_stops_the_run_and_says_so(system, monkeypatch):
    world = system()
    run_id, hints = runs.start("retreaver", None, "full")
    monkeypatch.setattr(work, "vault", lambda: Vault({"other": "another-key-of-32-characters-or-longer"}))
    world.follow(hints)
    run = world.run(run_id)
    assert (run["state"], run["reason"]) == ("failed", "fix_configuration")
    assert "'test'" in run["error"]


def test_a_disabled_account_is_not_synced_and_says_so(system):
    world = system()
    world.execute("UPDATE provider_configs SET is_active = false")
    with pytest.raises(FixConfiguration, match="accounts enable retreaver/default"):
        runs.start("retreaver", None, "full")


def test_one_message_goes_on_through_a_slice_and_another_stores_it(system):
    world = system()
    run_id, hints = runs.start("retreaver", None, "full")
    left = [hint for first in hints for told in pull.fetch_on(first.id, seconds=60) for hint in told]
    assert {hint.step for hint in left} <= {Step.STORE}
    assert [hint for told in store.store_on(hints[0].id, "retreaver", seconds=60) for hint in told] == []
    assert world.run(run_id)["state"] == "completed"
    world.assert_complete("retreaver")


def test_whoever_goes_on_has_the_next_page_already_unless_the_account_was_changed(system):
    world = system(records=300, days=0.9)
    _, hints = runs.start("retreaver", None, "full")
    first = pull.fetch(hints[0].id, math.inf)
    assert first.landed
    assert first.hints == ()
    assert pull.fetch(first.following.page["id"]) == Fetched()  # it is claimed
    world.execute("UPDATE provider_configs SET updated_at = now()")
    second = pull._fetch(first.following, math.inf)
    assert second.landed
    (hint,) = second.hints
    landed = (hints[0], replace(hints[0], id=first.following.page["id"]))
    world.follow([*(replace(one, step=Step.STORE) for one in landed), hint, *hints[1:]])
    world.assert_complete("retreaver")


def test_the_statements_of_a_page_stay_prepared(system, monkeypatch):
    monkeypatch.setattr(pull, "TOLD", Seldom(0.0))  # ask after each page whether storing lags
    monkeypatch.setattr(session, "FRESH", 0.0)  # and each time whether the connection works
    system(records=900, days=0.9)
    _, hints = runs.start("retreaver", None, "full")
    list(pull.fetch_on(hints[0].id, seconds=60))
    second = text("SELECT split_part(statement, ' ', 2) FROM pg_prepared_statements")
    with session.engine().begin() as connection:
        prepared = set(connection.execute(second).scalars())
    assert prepared >= {"sync_pages", "INTO", "EXISTS"}  # UPDATE sync_pages, INSERT INTO sync_pages, SELECT EXISTS


def test_a_message_that_took_its_time_leaves_the_rest_to_others(system):
    world = system(days=0.9)
    run_id, hints = runs.start("retreaver", None, "full")
    (told,) = pull.fetch_on(hints[0].id, seconds=0)
    assert [hint.step for hint in told] == [Step.FETCH]
    ((rest,),) = store.store_on(hints[0].id, "retreaver", seconds=0)
    assert rest.step is Step.STORE
    world.follow([*hints[1:], *told, rest])
    assert world.run(run_id)["state"] == "completed"
