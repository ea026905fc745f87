from __future__ import annotations

import http.client
import threading
import time
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import pytest
import requests
from asking import ALL, LISTS, Start, get, id_of, records

from simulator import PROVIDERS, Habits, Limit, Simulator
from simulator.faults import MOST_IN_A_ROW
from simulator.habits import ABOUT, DEMO, FAULTS, USUAL
from simulator.messages import Request

each_provider = pytest.mark.parametrize("provider", PROVIDERS)


def everything(sim: Simulator, provider: str, **params: object) -> list[object]:
    return records(provider, get(sim, provider, LISTS[provider], **ALL[provider], **params))


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
        assert wrong == {key: str(value) if type(value) in (int, float) else value for key, value in right.items()}  # type: ignore[attr-defined]


def test_convosos_strings_become_numbers(start: Start) -> None:
    rows = everything(start(records=30, habits="numbers_as_strings=1"), "convoso")
    assert {type(row["id"]) for row in rows} == {int}  # type: ignore[index]


def test_mixed_money_is_the_same_amount_in_many_types(start: Start) -> None:
    plain, spoilt = (everything(start(records=90, habits=habits), "retreaver") for habits in ("", "mixed_money=1"))
    for right, wrong in zip(plain, spoilt, strict=True):
        assert float(wrong["revenue"] or 0) == (right["revenue"] or 0)  # type: ignore[index]
    assert {type(row["revenue"]) for row in spoilt} == {float, int, str, type(None)}  # type: ignore[index]


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
        assert all(after[each]["updated_at"] > before[each]["updated_at"] for each in changed)  # type: ignore[index]


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
    size = {"retreaver": {"per_page": 10}, "convoso": {"limit": 10}}[provider]
    first = records(provider, get(sim, provider, LISTS[provider], **{**ALL[provider], **size}))
    assert sum(id_of(row) not in seen for row in first) == 2
    again = {"retreaver": {"page": 2}, "convoso": {"offset": 10}}[provider]
    second = records(provider, get(sim, provider, LISTS[provider], **{**ALL[provider], **size, **again}))
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
