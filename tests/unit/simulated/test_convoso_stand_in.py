from __future__ import annotations

from datetime import UTC, datetime

import pytest
import requests
from asking import ALL, Start, get, id_of, records

from simulator import convoso
from simulator.convoso_records import local, repeated_hour

LIST = "/log/retrieve"
EVER = {"start_time": "2000-01-01 00:00:00"}


def test_the_pages_hold_every_call_once_newest_first(start: Start) -> None:
    sim = start(records=250)
    ids = []
    for offset in (0, 100, 200):
        data = get(sim, "convoso", LIST, **EVER, limit=100, offset=offset).json()["data"]
        assert (data["total_found"], data["entries"]) == ("250", len(data["results"]))
        ids += [row["id"] for row in data["results"]]
    assert ids == sim.provider("convoso").ids()[::-1]


def test_a_page_is_never_longer_than_500(start: Start) -> None:
    data = get(start(records=501), "convoso", LIST, **EVER, limit=5000).json()["data"]
    assert (data["limit"], data["entries"]) == (500, 500)


def test_offsets_beyond_the_cap_fail_with_status_200(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convoso, "GREATEST_OFFSET", 20)
    sim = start(records=50)
    assert get(sim, "convoso", LIST, **EVER, offset=20).json()["success"]
    answer = get(sim, "convoso", LIST, **EVER, offset=21)
    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["code"]) == (False, 7231)


def test_times_are_local_and_the_filter_includes_both_ends(start: Start) -> None:
    sim = start(records=60, zone="America/Los_Angeles")
    rows = records("convoso", get(sim, "convoso", LIST, **EVER, order="asc"))
    stand_in = sim.provider("convoso")
    first = sim.world.calls("convoso")[0]
    assert rows[0]["call_date"] == first.started_at.astimezone(stand_in.zone).strftime("%Y-%m-%d %H:%M:%S")
    found = get(sim, "convoso", LIST, start_time=rows[10]["call_date"], end_time=rows[20]["call_date"], order="asc")
    assert records("convoso", found) == rows[10:21]


def test_without_times_it_is_todays_calls(start: Start) -> None:
    sim = start(records=300)
    rows = records("convoso", get(sim, "convoso", LIST, limit=500))
    assert rows
    assert {row["call_date"][:10] for row in rows} == {"2026-03-02"}
    everything = records("convoso", get(sim, "convoso", LIST, **ALL["convoso"]))
    assert len(rows) == sum(row["call_date"] >= "2026-03-02" for row in everything)


def test_one_call_by_its_id(start: Start) -> None:
    sim = start(records=60)
    call_id = sim.provider("convoso").ids()[0]
    assert [row["id"] for row in records("convoso", get(sim, "convoso", LIST, id=call_id))] == [call_id]


def test_nearly_everything_is_text(start: Start) -> None:
    rows = records("convoso", get(start(records=60), "convoso", LIST, **EVER))
    assert {type(value) for row in rows for value in row.values()} == {str, type(None)}
    assert "recording" not in rows[0]


def test_recordings_on_request(start: Start) -> None:
    rows = records("convoso", get(start(records=60), "convoso", LIST, **EVER, include_recordings="1"))
    assert {len(row["recording"]) for row in rows} == {0, 1}


@pytest.mark.parametrize(("habits", "status"), [("", 401), ("errors_as_200", 200)])
def test_a_wrong_token(start: Start, habits: str, status: int) -> None:
    url = start(records=5, habits=habits).url("convoso") + LIST
    answer = requests.get(url, params={"auth_token": "wrong"}, timeout=10)
    assert answer.status_code == status
    assert answer.json()["success"] is False


def test_the_token_may_come_in_a_form(start: Start) -> None:
    sim = start(records=5)
    answer = requests.post(sim.url("convoso") + LIST, {**sim.credentials("convoso"), **EVER}, timeout=10)
    assert answer.json()["data"]["entries"] == 5


@pytest.mark.parametrize("bad", [{"start_time": "2026-03-01T00:00:00Z"}, {"offset": "-1"}, {"limit": "many"}])
def test_what_cannot_be_read_fails_with_status_200(start: Start, bad: dict[str, str]) -> None:
    answer = get(start(records=5), "convoso", LIST, **bad)
    assert (answer.status_code, answer.json()["success"]) == (200, False)


def test_the_recordings_dialect(start: Start) -> None:
    sim = start(records=250)
    body = get(sim, "convoso", "/lead/get-recordings", limit=100, offset=200).json()
    assert (body["total"], body["offset"], body["limit"], len(body["data"])) == (250, 200, 100, 50)
    truth = sim.provider("convoso").find(body["data"][0]["call_id"])
    assert truth
    assert truth["started_at"] == body["data"][0]["start_time"]
    assert truth["duration_seconds"] == body["data"][0]["duration"]


def test_the_recordings_dialect_filters_whole_local_days(start: Start) -> None:
    sim = start(records=250, zone="Asia/Tokyo")
    body = get(sim, "convoso", "/lead/get-recordings", start_date="2026-02-20", end_date="2026-02-21", limit=500).json()
    days = [
        local(call.started_at, sim.provider("convoso").zone)[:10]  # type: ignore[attr-defined]
        for call in sim.world.calls("convoso")
    ]
    assert body["total"] == sum(day in ("2026-02-20", "2026-02-21") for day in days)


def test_nobody_claims_to_know_the_time_in_the_hour_that_clocks_repeat(start: Start) -> None:
    sim = start(records=150, now=datetime(2026, 11, 1, 12, tzinfo=UTC), days=1)
    stand_in = sim.provider("convoso")
    truths = {truth["external_id"]: truth for truth in stand_in.truths()}
    for call in sim.world.calls("convoso"):
        told = datetime(2026, 11, 1, 5, tzinfo=UTC) <= call.started_at < datetime(2026, 11, 1, 7, tzinfo=UTC)
        assert repeated_hour(call.started_at, stand_in.zone) == told  # type: ignore[attr-defined]
        assert ("started_at" in truths[call.id]) != told


def test_the_list_is_in_the_order_of_the_local_clock_even_where_that_jumps_back(start: Start) -> None:
    sim = start(records=150, now=datetime(2026, 11, 1, 12, tzinfo=UTC), days=1)
    rows = records("convoso", get(sim, "convoso", LIST, **EVER, limit=500, order="asc"))
    dates = [row["call_date"] for row in rows]
    assert dates == sorted(dates)
    assert {id_of(row) for row in rows} == set(sim.provider("convoso").ids())
    assert [id_of(row) for row in rows] != [call.id for call in sim.world.calls("convoso")]
