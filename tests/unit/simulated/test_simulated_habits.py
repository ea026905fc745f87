from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from asking import ALL, LISTS, Start, get, id_of, records, send

from simulator import PROVIDERS, Habits, Limit, Simulator, World
from simulator.drifting import NEWCOMERS, UNHEARD_OF
from simulator.faults import MOST_IN_A_ROW
from simulator.habits import ABOUT, DEMO, FAULTS, PROVIDERS_OF, USUAL
from simulator.messages import Request

each_provider = pytest.mark.parametrize("provider", PROVIDERS)


def everything(sim: Simulator, provider: str, **params: object) -> list[Any]:
    return records(provider, get(sim, provider, LISTS[provider], **ALL[provider], **params))


def told(rows: list[Any], key: str) -> Counter[Any]:
    """How often each value stands under this key."""
    return Counter(row[key] for row in rows)


#: under which keys the records tell when a call was made, when it changed, and what of it drifts
CREATED = {"retreaver": "created_at", "convoso": "call_date", "trackdrive": "created_at", "ringba": "callDt"}
UPDATED = {"retreaver": "updated_at", "trackdrive": "updated_at"}
STATUS = {"retreaver": "status", "convoso": "status", "trackdrive": "status", "ringba": "endCallSource"}
NESTED = {
    "retreaver": "campaign_name",
    "convoso": "campaign",
    "trackdrive": "traffic_source",
    "ringba": "campaignName",
}


def test_parsing() -> None:
    assert Habits.parse("") == Habits.parse("none") == Habits()
    assert Habits.parse("demo") == DEMO
    assert Habits.parse("page_shift, blank_ids=0.5") == Habits(page_shift=1.0, blank_ids=0.5)
    faulty = Habits.parse("faults=0.5")
    assert [getattr(faulty, name) for name in FAULTS] == [0.1] * 5


@pytest.mark.parametrize("text", ["blank_idz", "blank_ids=some", "demo=0.1"])
def test_parsing_says_what_is_wrong(text: str) -> None:
    with pytest.raises(ValueError, match="habit"):
        Habits.parse(text)


def test_every_habit_is_described() -> None:
    assert all(ABOUT.values())
    assert all(USUAL.values())


def test_a_habit_that_a_provider_has_not_stays_off_there_and_the_list_says_so(start: Start) -> None:
    assert Habits.parse("limit_in_body, other_host_link, late_calls=0.5").of("convoso") == Habits(late_calls=0.5)
    sim = start(records=5, habits="capped_offset=9")
    assert sim.provider("convoso").habits.capped_offset == 9
    sim.provider("retreaver").habits = Habits.parse("capped_offset=9, server_errors=1")
    assert sim.provider("retreaver").habits == Habits(server_errors=1.0)
    assert ABOUT["capped_offset"].endswith("(convoso, ringba)")
    assert {name for names in PROVIDERS_OF.values() for name in names} <= set(PROVIDERS)


# ── the world ──


@each_provider
def test_calls_of_a_plateau_share_their_times(start: Start, provider: str) -> None:
    plain, crowded = (everything(start(records=60, habits=habits), provider) for habits in ("", "plateau=20"))
    assert len(told(plain, CREATED[provider])) == 60
    assert sorted(told(crowded, CREATED[provider]).values()) == [20, 20, 20]
    assert {id_of(row) for row in crowded} == {id_of(row) for row in plain}
    if provider in UPDATED:
        assert sorted(told(crowded, UPDATED[provider]).values()) == [20, 20, 20]


@each_provider
def test_calls_of_a_plateau_keep_their_order_of_events(start: Start, provider: str) -> None:
    sim = start(records=60, habits="plateau=20")
    for call in sim.world.calls(provider):
        assert call.started_at <= call.created_at <= call.updated_at <= sim.world.now
        assert call.started_at <= (call.answered_at or call.started_at) <= call.ended_at <= call.updated_at


@each_provider
def test_calls_crowd_around_the_hour_that_comes_twice(start: Start, provider: str) -> None:
    autumn = datetime(2026, 11, 10, tzinfo=UTC)
    first, second = datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)
    for habits, least, most in (("", 0, 4), ("dst=0.5", 30, 70), ("dst=1", 90, 100)):
        sim = start(records=100, habits=habits, now=autumn, days=30)
        starts = [call.started_at for call in sim.world.calls(provider)]
        around = [moment for moment in starts if abs(moment - second) <= timedelta(minutes=90)]
        assert least <= len(around) <= most
        assert starts == sorted(starts)
        assert {id_of(row) for row in everything(sim, provider)} == {call.id for call in World(1, 100).calls(provider)}
    assert any(first <= moment < second for moment in starts)
    assert any(second <= moment < second + timedelta(hours=1) for moment in starts)


@each_provider
def test_where_clocks_never_go_back_nothing_crowds(start: Start, provider: str) -> None:
    usual, crowded = (start(records=20, habits=habits, zone="Asia/Tokyo") for habits in ("", "dst=1"))
    assert crowded.world.calls(provider) == usual.world.calls(provider)


@each_provider
def test_a_wrong_clock_is_wrong_in_all_it_tells(start: Start, provider: str) -> None:
    right, wrong = start(records=20), start(records=20, habits="clock_skew=600")
    answers = [get(sim, provider, LISTS[provider], **ALL[provider]) for sim in (right, wrong)]
    dates = [parsedate_to_datetime(answer.headers["Date"]) for answer in answers]
    assert dates == [right.world.now, right.world.now + timedelta(minutes=10)]
    for call, skewed in zip(right.world.calls(provider), wrong.world.calls(provider), strict=True):
        assert skewed.id == call.id
        assert skewed.created_at - call.created_at == skewed.updated_at - call.updated_at == timedelta(minutes=10)
    rows = [{id_of(row): row[CREATED[provider]] for row in records(provider, answer)} for answer in answers]
    assert rows[0].keys() == rows[1].keys()
    assert all(rows[0][each] != rows[1][each] for each in rows[0])
    new = wrong.world.add(provider)
    assert timedelta(0) < new.created_at - wrong.world.clock.now() < timedelta(minutes=10)
    assert wrong.provider(provider).ids(since=wrong.world.clock.now()) == [new.id]


@each_provider
def test_what_changes_late_is_stamped_by_the_wrong_clock(start: Start, provider: str) -> None:
    sim = start(records=5, habits="clock_skew=-600, late_changes=1")
    everything(sim, provider)
    sim.world.clock.advance(20)
    everything(sim, provider)
    due = sim.world.now + timedelta(seconds=20 - 600)
    assert {call.updated_at for call in sim.world.calls(provider)} == {due}


@each_provider
def test_a_letter_tells_the_times_of_a_world_that_was_shaped(start: Start, provider: str) -> None:
    sim = start(records=30, habits="plateau=10, dst=0.5, clock_skew=60")
    described = requests.get(f"{sim.address}/_simulator/world", timeout=10).json()
    like = World.like(described)
    assert like.calls(provider) == sim.world.calls(provider)
    assert like.unlisted(provider, 3) == sim.world.unlisted(provider, 3)
    assert like.unlisted(provider, 3).created_at - World(1, 0, now=like.now).unlisted(provider, 3).created_at == (
        timedelta(seconds=60)
    )


# ── records ──


@each_provider
def test_blank_ids_come_on_top_and_are_known(start: Start, provider: str) -> None:
    sim = start(records=50, habits="blank_ids=0.1")
    rows = everything(sim, provider, order="asc")
    rejected = sim.provider(provider).rejected()
    good = set(sim.provider(provider).ids())
    assert (len(rows), len(good), len(rejected)) == (55, 50, 5)
    assert {each["reason"] for each in rejected} == {"blank_id"}
    bad = [place for place, row in enumerate(rows) if id_of(row) not in good]
    assert bad == [each["position"] for each in rejected]


@each_provider
def test_odd_records_are_no_objects_with_fields(start: Start, provider: str) -> None:
    sim = start(records=60, habits="odd_records=0.1")
    odd = [row for row in everything(sim, provider) if not (isinstance(row, dict) and row)]
    assert len(odd) == len(sim.provider(provider).rejected()) == 6


def test_numbers_as_strings_keep_their_values(start: Start) -> None:
    plain, spoilt = (
        everything(start(records=30, habits=habits), "retreaver") for habits in ("", "numbers_as_strings=1")
    )
    for right, wrong in zip(plain, spoilt, strict=True):
        assert wrong == {key: str(value) if type(value) in (int, float) else value for key, value in right.items()}


def test_convosos_strings_become_numbers(start: Start) -> None:
    rows = everything(start(records=30, habits="numbers_as_strings=1"), "convoso")
    assert {type(row["id"]) for row in rows} == {int}


def test_mixed_money_is_the_same_amount_in_many_types(start: Start) -> None:
    plain, spoilt = (everything(start(records=90, habits=habits), "retreaver") for habits in ("", "mixed_money=1"))
    for right, wrong in zip(plain, spoilt, strict=True):
        assert float(wrong["revenue"] or 0) == (right["revenue"] or 0)
    assert {type(row["revenue"]) for row in spoilt} == {float, int, str, type(None)}


@each_provider
def test_records_that_drift_are_other_records_of_the_same_calls(start: Start, provider: str) -> None:
    plain, drifting = start(records=90), start(records=90, habits="schema_drift=0.5")
    before, after = ({id_of(row): row for row in everything(sim, provider)} for sim in (plain, drifting))
    assert after.keys() == before.keys()
    drifted = {each for each in after if after[each] != before[each]}
    assert 20 < len(drifted) < 70
    for each in drifted:
        assert NEWCOMERS.items() <= after[each].items()
    assert {type(after[each][NESTED[provider]]) for each in drifted if before[each][NESTED[provider]]} == {dict}
    assert {after[each][STATUS[provider]] for each in drifted} == {UNHEARD_OF}


@each_provider
def test_the_truth_does_not_claim_what_a_drifted_record_hides(start: Start, provider: str) -> None:
    usual = start(records=30).provider(provider).truths()
    drifted = start(records=30, habits="schema_drift=1").provider(provider).truths()
    for known, hidden in zip(usual, drifted, strict=True):
        assert hidden.items() < known.items()
        assert known.keys() - hidden.keys() <= {"status", "disposition", "campaign_name", "publisher", "buyer"}


# ── what changes while you read ──


@each_provider
def test_late_changes_come_some_time_after_the_first_sight(start: Start, provider: str) -> None:
    sim = start(records=90, habits="late_changes=0.5,late_after=20")
    before = {id_of(row): row for row in everything(sim, provider)}
    sim.world.clock.advance(19)
    assert {id_of(row): row for row in everything(sim, provider)} == before
    sim.world.clock.advance(1)
    after = {id_of(row): row for row in everything(sim, provider)}
    assert after.keys() == before.keys()
    changed = {each for each in after if after[each] != before[each]}
    assert 20 < len(changed) < 70
    assert changed == {call.id for call in sim.world.calls(provider) if call.restless < 0.5}
    if provider == "retreaver":
        newest = records(provider, get(sim, provider, LISTS[provider], per_page=100, sort_by="updated_at"))
        assert {id_of(row) for row in newest[: len(changed)]} == changed
        assert all(after[each]["updated_at"] > before[each]["updated_at"] for each in changed)


@pytest.mark.parametrize("provider", sorted({*PROVIDERS} - {"convoso"}))
def test_money_changes_late_too(start: Start, provider: str) -> None:
    sim = start(records=30, habits="late_changes=1")
    before = {truth["external_id"]: truth for truth in sim.provider(provider).truths()}
    everything(sim, provider)
    sim.world.clock.advance(20)
    after = {truth["external_id"]: truth for truth in sim.provider(provider).truths()}
    assert all(after[each]["revenue"] != before[each]["revenue"] for each in before)
    assert all(after[each]["payout"] != before[each]["payout"] for each in before)


@pytest.mark.parametrize(("lost", "left"), [(0, 20), (1, 0)])
def test_subscriptions_get_lost_silently(start: Start, lost: int, left: int) -> None:
    sim = start(records=0, habits=f"subscription_lost={lost}, late_after=30")
    for _ in range(20):
        send(sim, "trackdrive", "POST", "/subscriptions", json={"target_url": "http://a", "event": "call_ended"})
    listed = get(sim, "trackdrive", "/subscriptions", per_page=100).json()["subscriptions"]
    assert [each["active"] for each in listed] == [True] * 20
    assert sim.provider("trackdrive").targets("call_ended") == ["http://a"] * 20  # type: ignore[attr-defined]
    sim.world.clock.advance(30)
    there = get(sim, "trackdrive", "/subscriptions", per_page=100).json()["subscriptions"]
    assert sim.provider("trackdrive").targets("call_ended") == ["http://a"] * left  # type: ignore[attr-defined]
    assert sum(each["active"] for each in there) == left
    assert left <= len(there) <= 20
    assert lost == 0 or 0 < len(there) < 20, "some are gone, some are there and switched off"
    assert sim.provider("trackdrive").writes == {"subscription.added": 20}


@each_provider
def test_a_call_changes_late_only_once(start: Start, provider: str) -> None:
    sim = start(records=20, habits="late_changes=1")
    everything(sim, provider)
    everything(sim, provider)
    sim.world.clock.advance(20)
    changed = everything(sim, provider)
    sim.world.clock.advance(20)
    assert everything(sim, provider) == changed


@each_provider
def test_what_was_never_shown_does_not_change(start: Start, provider: str) -> None:
    sim = start(records=20, habits="late_changes=1")
    before = sim.provider(provider).truths()
    sim.world.clock.advance(100)
    assert sim.provider(provider).truths() == before


@each_provider
def test_the_truth_changes_too(start: Start, provider: str) -> None:
    sim = start(records=20, habits="late_changes=1")
    call_id = sim.provider(provider).ids()[0]
    before = sim.provider(provider).find(call_id)
    everything(sim, provider)
    sim.world.clock.advance(20)
    assert sim.provider(provider).find(call_id) != before


@each_provider
def test_late_calls_appear_in_the_past(start: Start, provider: str) -> None:
    sim = start(records=60, habits="late_calls=0.2")
    before = {id_of(row) for row in everything(sim, provider)}
    assert before == set(sim.provider(provider).ids())
    assert 40 < len(before) < 60
    sim.world.clock.advance(20)
    after = [id_of(row) for row in everything(sim, provider, order="asc")]
    assert after == [call.id for call in sim.world.calls(provider)]


@each_provider
def test_new_calls_push_the_list_down(start: Start, provider: str) -> None:
    sim = start(records=50, habits="page_shift=2")
    seen = set(sim.provider(provider).ids())
    size: dict[str, dict[str, Any]] = {
        "retreaver": {"per_page": 10},
        "convoso": {"limit": 10},
        "trackdrive": {"per_page": 10},
    }
    asked = {**ALL[provider], **size.get(provider, {"size": 10})}
    first = records(provider, get(sim, provider, LISTS[provider], **asked))
    assert sum(id_of(row) not in seen for row in first) == 2
    later: dict[str, dict[str, Any]] = {"retreaver": {"page": 2}, "trackdrive": {"cursor": None, "page": 2}}
    again = later.get(provider, {"offset": 10})
    second = records(provider, get(sim, provider, LISTS[provider], **{**asked, **again}))
    assert second[:2] == first[-2:]
    assert len(sim.provider(provider).ids()) == 54


# ── paging ──


def test_duplicates_across_pages_of_retreaver(start: Start) -> None:
    sim = start(records=250, habits="duplicates_across_pages=3")
    pages = [records("retreaver", get(sim, "retreaver", LISTS["retreaver"], per_page=100, page=n)) for n in (1, 2, 3)]
    assert pages[0][-3:] == pages[1][:3]
    assert pages[1][-3:] == pages[2][:3]
    assert {id_of(row) for page in pages for row in page} == set(sim.provider("retreaver").ids())


def test_duplicates_across_pages_of_convoso_hide_nothing_from_who_trusts_the_total(start: Start) -> None:
    sim = start(records=250, habits="duplicates_across_pages=3")
    ids, total = [], 1
    while len(ids) < total:
        data = get(sim, "convoso", LISTS["convoso"], **{**ALL["convoso"], "limit": 100}, offset=len(ids)).json()["data"]
        ids += [row["id"] for row in data["results"]]
        total = int(data["total_found"])
    assert (len(ids), len(set(ids))) == (256, 250)
    assert set(ids) == set(sim.provider("convoso").ids())


def test_endless_pages(start: Start) -> None:
    sim = start(records=150, habits="endless_next")
    pages = [get(sim, "retreaver", LISTS["retreaver"], per_page=100, page=n) for n in (2, 3, 4)]
    assert all(f"page={n}" in page.links["next"]["url"] for n, page in zip((3, 4, 5), pages, strict=True))
    assert pages[0].content == pages[1].content == pages[2].content
    for offset in (0, 500, 5000):
        data = get(sim, "convoso", LISTS["convoso"], **ALL["convoso"], offset=offset).json()["data"]
        assert int(data["total_found"]) > offset + 500
        assert data["results"]


def test_a_repeated_cursor(start: Start) -> None:
    answer = get(start(records=350, habits="repeated_cursor"), "retreaver", LISTS["retreaver"], per_page=100, page=2)
    assert "page=2" in answer.links["next"]["url"]


def test_a_link_to_another_host_is_a_trap_that_counts(start: Start) -> None:
    sim = start(records=50, habits="other_host_link")
    link = get(sim, "retreaver", LISTS["retreaver"]).links["next"]["url"]
    assert not link.startswith(sim.address)
    assert sim.strayed == 0
    assert requests.get(link, timeout=10).status_code == 418
    assert sim.strayed == 1


def test_a_repeated_cursor_of_trackdrive(start: Start) -> None:
    sim = start(records=350, habits="repeated_cursor")
    first = cursor_of(get(sim, "trackdrive", "/calls", cursor=-1, per_page=100))
    again = get(sim, "trackdrive", "/calls", cursor=first, per_page=100)
    assert cursor_of(again) == first
    assert cursor_of(get(start(records=350), "trackdrive", "/calls", cursor=first, per_page=100)) != first


def test_cursors_without_end(start: Start) -> None:
    sim = start(records=150, habits="endless_next")
    cursor, pages, used = "-1", [], set[str]()
    for _ in range(4):
        answer = get(sim, "trackdrive", "/calls", cursor=cursor, per_page=100)
        used.add(cursor)
        cursor = cursor_of(answer)
        pages.append([id_of(row) for row in records("trackdrive", answer)])
    assert pages[1] == pages[2] == pages[3]
    assert len(used | {cursor}) == 5


def test_a_cursor_that_expires(start: Start) -> None:
    sim = start(records=150, habits="expiring_cursor=30")
    cursor = cursor_of(get(sim, "trackdrive", "/calls", cursor=-1))
    sim.world.clock.advance(29)
    assert get(sim, "trackdrive", "/calls", cursor=cursor).status_code == 200
    sim.world.clock.advance(1)
    expired = get(sim, "trackdrive", "/calls", cursor=cursor)
    assert (expired.status_code, expired.json()["errors"]) == (410, {"base": ["cursor has expired."]})
    assert get(sim, "trackdrive", "/calls", cursor=-1).status_code == 200
    sim.provider("trackdrive").habits = Habits()
    assert get(sim, "trackdrive", "/calls", cursor=cursor).status_code == 200


def test_a_cap_on_offsets_as_low_as_one_likes(start: Start) -> None:
    sim = start(records=50, habits="capped_offset=20")
    assert get(sim, "convoso", LISTS["convoso"], **ALL["convoso"], offset=20).json()["success"]
    refused = get(sim, "convoso", LISTS["convoso"], **ALL["convoso"], offset=21).json()
    assert (refused["success"], refused["code"]) == (False, 7231)
    assert get(start(records=50), "convoso", LISTS["convoso"], **ALL["convoso"], offset=21).json()["success"]


def cursor_of(answer: requests.Response) -> str:
    return str(json.loads(answer.text, parse_float=str)["metadata"]["next_cursor"])


# ── limits and faults ──


@each_provider
def test_beyond_the_limit_there_is_429(start: Start, provider: str) -> None:
    sim = start(records=5, limits={provider: "3/hour"})
    answers = [get(sim, provider, LISTS[provider]) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 3500 < int(answers[-1].headers["Retry-After"]) <= 3600
    traffic = sim.stats[provider]
    assert (traffic.requests, traffic.answers[429]) == (5, 2)
    assert traffic.most_in_60s == 5


def test_429_may_be_silent(start: Start) -> None:
    sim = start(records=5, habits="silent_429=1", limits={"retreaver": "1/hour"})
    answers = [get(sim, "retreaver", LISTS["retreaver"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert not any("Retry-After" in answer.headers for answer in answers)


@each_provider
def test_retry_after_may_be_a_date(start: Start, provider: str) -> None:
    sim = start(records=5, habits="retry_after_date", limits={provider: "1/hour"})
    answers = [get(sim, provider, LISTS[provider]) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    until = parsedate_to_datetime(answers[1].headers["Retry-After"])
    wait = until - parsedate_to_datetime(answers[1].headers["Date"])
    assert timedelta(seconds=3590) < wait <= timedelta(seconds=3600)


def test_the_usual_limits(start: Start) -> None:
    sim = start(records=5, habits="rate_limit")
    statuses = [sim.provider("convoso").reply(request("convoso", sim)).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_a_limit_may_change_on_the_way(start: Start) -> None:
    sim = start(records=5)
    ask = partial(sim.provider("retreaver").reply, request("retreaver", sim))
    assert ask().status == 200
    sim.provider("retreaver").limit([Limit(1, 3600)])
    assert [ask().status, ask().status] == [200, 429]
    sim.provider("retreaver").limit([])
    assert ask().status == 200


def test_unusable_records_are_told_as_they_were_shown(start: Start) -> None:
    sim = start(records=50, habits="odd_records=0.05")
    assert not sim.provider("retreaver").unusable()
    shown = get(sim, "retreaver", LISTS["retreaver"], **ALL["retreaver"]).content
    odd = sim.provider("retreaver").unusable()
    assert len(odd) == 2
    assert all(record in shown for record in odd)


def request(provider: str, sim: Simulator) -> Request:
    return Request(LISTS[provider], dict(sim.credentials(provider)))


@pytest.mark.parametrize("kind", FAULTS)
@each_provider
def test_faults_end_after_a_few_tries(start: Start, provider: str, kind: str) -> None:
    sim = start(records=30, habits=f"{kind}=1,hang_seconds=0.01")
    faulty = 0
    while not usable(sim, provider):
        faulty += 1
    assert faulty == MOST_IN_A_ROW == sim.stats[provider].faults[kind]


def usable(sim: Simulator, provider: str) -> bool:
    try:
        answer = get(sim, provider, LISTS[provider], **ALL[provider])
        return answer.ok and len(records(provider, answer)) == 30
    except (requests.RequestException, ValueError, KeyError):
        return False


def test_faults_are_the_same_each_time(start: Start) -> None:
    def statuses(sim: Simulator) -> list[int]:
        return [get(sim, "retreaver", LISTS["retreaver"], page=page).status_code for page in range(1, 21)]

    once, again = statuses(start(habits="server_errors=0.3")), statuses(start(habits="server_errors=0.3"))
    assert once == again
    assert {200, 500, 502, 503} == set(once)


def test_errors_as_200(start: Start) -> None:
    sim = start(habits="errors_as_200,server_errors=1", records=5)
    answer = get(sim, "convoso", LISTS["convoso"])
    assert (answer.status_code, answer.json()["success"]) == (200, False)
    assert "error" in get(sim, "retreaver", LISTS["retreaver"]).json()


def test_habits_may_change_while_it_runs(start: Start) -> None:
    sim = start(records=5)
    sim.provider("retreaver").habits = replace(sim.provider("retreaver").habits, server_errors=1.0)
    assert get(sim, "retreaver", LISTS["retreaver"]).status_code >= 500
    assert get(sim, "convoso", LISTS["convoso"]).status_code == 200


def test_a_hanging_request_does_not_keep_the_simulator_from_stopping(start: Start) -> None:
    sim = start(records=5, habits="hangs=1")
    with pytest.raises(requests.ReadTimeout):
        requests.get(sim.url("convoso") + LISTS["convoso"], params=sim.credentials("convoso"), timeout=(5, 0.05))
    begin = time.monotonic()
    sim.__exit__(None, None, None)
    assert time.monotonic() - begin < 5


def test_nor_does_a_connection_that_is_kept_open(start: Start) -> None:
    sim = start(records=5)
    connection = http.client.HTTPConnection(urlsplit(sim.address).netloc)
    connection.request("GET", "/_simulator/stats")
    connection.getresponse().read()
    stopping = threading.Thread(target=sim.__exit__, args=(None, None, None), daemon=True)
    stopping.start()
    stopping.join(5)
    stopped = not stopping.is_alive()
    connection.close()
    assert stopped
