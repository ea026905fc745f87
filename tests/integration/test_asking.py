"""Deliveries that tell little make us ask for their call, before other work, once; and what the API says wins."""

from datetime import datetime

import pytest

from calltrack.client.budget import Lane
from calltrack.sync import deliveries, pull, sweep, wanted, work
from calltrack.sync.hints import Hint, Step

PROVIDERS = ("trackdrive", "ringba")
NOTICE = {"trackdrive": ("uuid", "call_ended"), "ringba": ("inboundCallId", "Completed")}


@pytest.fixture
def world(system):
    return system(records=30, accounts_at=PROVIDERS)


def tell(world, provider, external_id, event=None, **fields):
    key, ended = NOTICE[provider]
    return world.deliver(provider, ended if event is None else event, verified=False, **{key: external_id, **fields})


def waiting(world):
    return [
        row["call"]
        for row in world.rows("SELECT cursor ->> 'call' AS call FROM sync_pages WHERE state = 'pending' ORDER BY 1")
    ]


def row(world, external_id):
    return world.one("SELECT * FROM calls WHERE external_id = :id", id=external_id)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_api_has_the_last_word_though_it_was_told_later(world, provider):
    truth = world.sim.provider(provider).truths()[7]
    tell(world, provider, truth["external_id"], caller_number="+15550009999", caller="+15550009999", duration="3")
    hints = deliveries.drain(provider)
    assert row(world, truth["external_id"])["revenue"] is None  # nothing is signed: money is not taken from it
    assert row(world, truth["external_id"])["caller_number"] == "+15550009999"
    world.follow(hints)
    stored = row(world, truth["external_id"])
    for field in ("caller_number", "duration_seconds", "started_at", "campaign_name"):
        wanted_value = datetime.fromisoformat(truth[field]) if field == "started_at" else truth[field]
        assert stored[field] == wanted_value, field
    assert stored["revenue"] == (None if truth["revenue"] is None else pytest.approx(float(truth["revenue"])))
    run = world.one("SELECT * FROM sync_runs")
    assert (run["mode"], run["state"], run["fetched"], run["updated"]) == ("live", "completed", 1, 1)
    assert not world.rows("SELECT 1 FROM sync_status")  # no sync has run


def test_only_calls_that_ended_or_changed_are_asked_for(world):
    for number, event in enumerate(["new_call", "call_ringing", "call_forwarded", "call_ended", "call_changed", ""]):
        tell(world, "trackdrive", f"c{number}", event)
    deliveries.drain("trackdrive")
    assert waiting(world) == ["c3", "c4", "c5"]


def test_a_call_that_is_still_to_be_asked_for_is_not_asked_for_twice(world):
    tell(world, "trackdrive", "c1")
    hints = deliveries.drain("trackdrive")
    tell(world, "trackdrive", "c1", "call_changed")
    tell(world, "trackdrive", "c2", "call_changed")
    more = deliveries.drain("trackdrive")
    assert (len(hints), len(more), waiting(world)) == (1, 1, ["c1", "c2"])


def test_news_of_a_call_that_is_being_asked_for_makes_us_ask_again(world, monkeypatch):
    """What is on its way may have been read before the change."""
    known = world.sim.provider("trackdrive").ids()[3]
    tell(world, "trackdrive", known)
    (hint,) = deliveries.drain("trackdrive")
    asked = []

    def ask(work, real=pull._ask):
        answer = real(work)
        tell(world, "trackdrive", known, "call_changed")
        asked.extend(deliveries.drain("trackdrive"))
        return answer

    monkeypatch.setattr(pull, "_ask", ask)
    pull.fetch(hint.id)
    assert len(asked) == 1
    assert asked[0].id != hint.id


def test_a_flood_makes_the_next_sync_due_at_once(world, monkeypatch):
    monkeypatch.setattr(wanted, "MOST", 5)
    world.execute("UPDATE provider_configs SET next_incremental_at = now() + interval '10 minutes'")
    for number in range(5):
        tell(world, "trackdrive", f"c{number}")
    assert len(deliveries.drain("trackdrive")) == 5
    assert not world.rows("SELECT 1 FROM provider_configs WHERE next_incremental_at <= now()")
    tell(world, "trackdrive", "c9")
    assert deliveries.drain("trackdrive") == []
    due = world.rows("SELECT provider_type FROM provider_configs WHERE next_incremental_at <= now()")
    assert [account["provider_type"] for account in due] == ["trackdrive"]
    assert len(waiting(world)) == 5


def test_an_account_may_say_otherwise(system):
    world = system(records=5, accounts_at=())
    world.add_account("trackdrive", ask="no")
    world.add_account("retreaver", ask="yes")
    tell(world, "trackdrive", "c1")
    world.deliver(call_uuid="c2")
    world.deliver(call={"uuid": "c3", "updated_at": "2026-03-01T12:00:00Z"})  # the whole record
    assert deliveries.drain("trackdrive") == []
    assert len(deliveries.drain("retreaver")) == 1
    assert waiting(world) == ["c2"]


def test_a_call_that_the_api_does_not_show_yet_stays_as_it_was_told(world):
    tell(world, "ringba", "RGBnot-there", callLengthInSeconds="12")
    world.follow(deliveries.drain("ringba"))
    assert row(world, "RGBnot-there")["duration_seconds"] == 12
    run = world.one("SELECT state, fetched, rejected FROM sync_runs")
    assert tuple(run.values()) == ("completed", 0, 0)


def test_a_lost_hint_is_found_by_the_sweeper(world):
    tell(world, "trackdrive", world.sim.provider("trackdrive").ids()[0])
    (hint,) = deliveries.drain("trackdrive")
    world.execute("UPDATE sync_pages SET hinted_at = now() - interval '1 hour'")
    (found,) = sweep.sweep()
    assert (found.step, found.id) == (Step.FETCH, hint.id)


def test_it_goes_before_other_work_and_is_in_nobodys_way(world):
    tell(world, "trackdrive", world.sim.provider("trackdrive").ids()[0])
    (hint,) = deliveries.drain("trackdrive")
    assert work.LANES["live"] is Lane.LIVE
    assert world.sync("trackdrive")["state"] == "completed"  # while the live run is still under way
    world.follow([hint])
    assert {run["state"] for run in world.rows("SELECT state FROM sync_runs")} == {"completed"}


def test_an_unexpanded_token_is_rejected_and_asks_for_nothing(world):
    told = world.deliver("trackdrive", "call_ended", verified=False, uuid="[call_uuid]")
    assert deliveries.drain("trackdrive") == []
    state = world.one("SELECT state, reason FROM webhook_logs WHERE id = :id", id=told)
    assert tuple(state.values()) == ("rejected", "no_id")
    assert not world.ids("trackdrive")


def test_a_template_without_a_version_does_not_outrank_the_api(system):
    world = system(records=20, accounts_at=("retreaver",))
    world.sync("retreaver")
    truth = world.sim.provider("retreaver").truths()[4]
    world.deliver(call_uuid=truth["external_id"], caller_number="+15550009999", sub_id="of the template")
    deliveries.drain("retreaver")
    stored = row(world, truth["external_id"])
    assert stored["caller_number"] == truth["caller_number"]
    assert stored["metadata"]["sub_id"]


def test_hints_of_several_accounts_in_one_batch(world):
    world.add_account("trackdrive", name="west")
    for account in world.rows("SELECT id FROM provider_configs WHERE provider_type = 'trackdrive'"):
        world.execute(
            "INSERT INTO webhook_logs (account_id, provider, event_type, content_type, query, body, verified,"
            " dedup_key) VALUES (:a, 'trackdrive', 'call_ended', 'application/json', '', :b, false, :k)",
            a=account["id"],
            b=b'{"uuid": "c1"}',
            k=account["id"].bytes,
        )
    hints = deliveries.drain("trackdrive")
    assert [type(hint) for hint in hints] == [Hint, Hint]
    assert len(world.rows("SELECT DISTINCT account_id FROM sync_runs WHERE mode = 'live'")) == 2
