from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests
from asking import ALL, LISTS, NOW, Start, get, id_of, records

from simulator import PROVIDERS, Simulator, World
from simulator.shapes import Shape
from simulator.traffic import Peak

each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@each_provider
def test_the_same_seed_makes_the_same_calls(provider: str) -> None:
    assert World(7, 50, now=NOW).calls(provider) == World(7, 50, now=NOW).calls(provider)
    ids = [{call.id for call in World(seed, 50, now=NOW).calls(provider)} for seed in (7, 8)]
    assert ids[0].isdisjoint(ids[1])


@each_provider
def test_ids_depend_neither_on_the_time_nor_on_the_number_of_calls(provider: str) -> None:
    few = World(7, 20, now=NOW).calls(provider)
    many = World(7, 50, now=NOW + timedelta(days=3)).calls(provider)
    assert [call.id for call in few] == [call.id for call in many[:20]]


@each_provider
def test_all_calls_lie_in_the_past_and_are_over(provider: str) -> None:
    calls = World(1, 200, now=NOW, days=10).calls(provider)
    assert all(NOW - timedelta(days=10) <= call.started_at <= call.ended_at <= call.updated_at <= NOW for call in calls)
    assert [call.created_at for call in calls] == sorted(call.created_at for call in calls)
    assert len({call.id for call in calls}) == 200


@each_provider
def test_a_new_call_is_the_newest_and_over(provider: str) -> None:
    world = World(1, 20, now=NOW)
    newest = max(call.created_at for call in world.calls(provider))
    for _ in range(20):
        call = world.add(provider)
        assert newest < call.created_at <= call.updated_at <= NOW
    assert len({call.id for call in world.calls(provider)}) == 40


def test_bursts_begin_together() -> None:
    starts = [call.started_at for call in World(1, 40, now=NOW, burst=10).calls("convoso")]
    assert len(set(starts)) == 4


@each_provider
def test_a_world_is_shaped_once_whether_its_calls_were_drawn_or_not(provider: str) -> None:
    drawn, fresh = World(1, 30, now=NOW), World(1, 30, now=NOW)
    drawn.calls(provider)
    for world in (drawn, fresh):
        world.shape(provider, Shape(plateau=10, skew=60.0))
        world.shape(provider, Shape(skew=3600.0))
    assert drawn.calls(provider) == fresh.calls(provider)
    assert len({call.created_at for call in fresh.calls(provider)}) == 3
    assert all(fresh.call(provider, call.id) is call for call in fresh.calls(provider))


@each_provider
def test_another_process_can_make_the_same_world(start: Start, provider: str) -> None:
    sim = start(records=30, seed=5, days=3, burst=2)
    described = requests.get(f"{sim.address}/_simulator/world", timeout=10).json()
    assert World.like(described).calls(provider) == sim.world.calls(provider)


@each_provider
def test_an_unlisted_call_is_shown_once_it_is_published(start: Start, provider: str) -> None:
    sim = start(records=20)
    call = sim.world.unlisted(provider, 3)
    assert sim.provider(provider).find(call.id) is None
    sim.world.publish(call)
    shown = records(provider, get(sim, provider, LISTS[provider], **ALL[provider]))
    assert call.id in {id_of(row) for row in shown}
    assert sim.provider(provider).find(call.id)


@each_provider
def test_the_truth_over_http(start: Start, provider: str) -> None:
    sim = start(records=40, habits="blank_ids=0.1")
    truth = f"{sim.address}/_simulator/{provider}"
    ids = requests.get(f"{truth}/ids", timeout=10).json()
    assert ids == {"count": 40, "ids": sim.provider(provider).ids()}
    assert requests.get(f"{truth}/rejected", timeout=10).json()["count"] == 4
    assert requests.get(f"{truth}/call/{ids['ids'][0]}", timeout=10).json() == sim.provider(provider).truths()[0]
    assert requests.get(f"{truth}/call/nobody", timeout=10).status_code == 404
    calls = sim.world.calls(provider)
    window = {"since": calls[10].created_at.isoformat(), "until": calls[20].created_at.isoformat()}
    assert requests.get(f"{truth}/ids", params=window, timeout=10).json()["ids"] == [call.id for call in calls[10:20]]


def test_stats_over_http(start: Start) -> None:
    sim = start(records=5)
    get(sim, "retreaver", LISTS["retreaver"])
    get(sim, "retreaver", "/api/v2/calls/nobody.json")
    stats = requests.get(f"{sim.address}/_simulator/stats", timeout=10).json()
    assert stats["retreaver"]["answers"] == {"200": 1, "404": 1}
    assert stats["retreaver"]["most_in_1s"] == stats["retreaver"]["most_in_60s"] == 2
    assert (stats["convoso"]["requests"], stats["strayed"]) == (0, 0)


def test_unknown_paths_say_what_there_is(start: Start) -> None:
    answer = requests.get(start(records=0).address + "/ringba/v2", timeout=10)
    assert answer.status_code == 404
    assert "/retreaver" in answer.json()["error"]


def test_the_peak_is_the_fullest_window_not_the_last_one() -> None:
    peak = Peak(1.0)
    for moment in (0.0, 0.5, 0.9, 1.0, 1.4, 3.0):
        peak.note(moment)
    assert peak.most == 4  # 0.5 … 1.4; at 1.0 the first one is a second old


def test_warming_renders_what_a_reader_sees(start: Start) -> None:
    cold, warm = start(records=50), start(records=50)
    warm.warm()
    for provider in PROVIDERS:
        answers = [get(sim, provider, LISTS[provider], **ALL[provider]).content for sim in (cold, warm)]
        assert answers[0] == answers[1]


def test_a_taken_port_is_told_at_once(start: Start) -> None:
    port = int(start(records=0).address.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        Simulator(World(1, 0), port=port)


def test_real_time_runs_unless_a_moment_is_given() -> None:
    assert abs(World(1, 0).clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
    assert World(1, 0, now=NOW).clock.now() == NOW
