from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
from asking import Start, get, id_of, records, send

from simulator import Simulator, cursors

LIST = "/calls"
NAME = "trackdrive"


def listed(sim: Simulator, **params: Any) -> list[Any]:
    return records(NAME, get(sim, NAME, LIST, **{"per_page": 100, **params}))


def walk(sim: Simulator, parse_float: Any = str, **params: Any) -> list[str]:
    """The ids, page by page, as the cursor leads."""
    ids, cursor = [], "-1"
    while cursor != "0":
        body = get(sim, NAME, LIST, **{"per_page": 100, **params}, cursor=cursor).text
        page = json.loads(body, parse_float=parse_float)
        ids += [record["uuid"] for record in page["calls"]]
        cursor = str(page["metadata"]["next_cursor"])
    return ids


# ── the list ──


def test_the_cursor_leads_through_every_call_once_newest_first(start: Start) -> None:
    sim = start(records=250)
    assert walk(sim) == sim.provider(NAME).ids()[::-1]


def test_ascending_on_request(start: Start) -> None:
    sim = start(records=120)
    assert walk(sim, per_page=50, order="asc") == sim.provider(NAME).ids()


def test_a_cursor_that_is_the_end_of_a_full_page(start: Start) -> None:
    sim = start(records=100)
    assert get(sim, NAME, LIST, cursor=-1, per_page=50).json()["metadata"]["next_cursor"] != 0
    assert get(sim, NAME, LIST, cursor=-1, per_page=100).json()["metadata"]["next_cursor"] == 0


def test_a_cursor_that_went_through_a_float_is_refused(start: Start) -> None:
    sim = start(records=250)
    text = get(sim, NAME, LIST, cursor=-1).text
    cursor = json.loads(text, parse_float=str)["metadata"]["next_cursor"]
    assert f'"next_cursor":{cursor}' in text
    assert cursor.endswith("E+17")
    wrong = repr(float(cursor))
    assert Decimal(wrong) != Decimal(cursor)
    answer = get(sim, NAME, LIST, cursor=wrong)
    assert answer.status_code == 400
    assert "cursor" in answer.json()["errors"]["base"][0]
    assert get(sim, NAME, LIST, cursor=int(Decimal(cursor))).status_code == 200


@pytest.mark.parametrize("offset", [25, 100, 4_800, 1_000_000])
def test_no_cursor_survives_a_float(offset: int) -> None:
    for second in range(60):
        at = datetime(2026, 3, 1, 10, 0, second, 123_000, tzinfo=UTC)
        cursor = cursors.write(offset, at)
        assert cursors.read(cursor, at) == offset
        for wrong in (repr(float(cursor)), str(int(float(cursor))), f"{float(cursor):.17E}"):
            with pytest.raises(ValueError, match="invalid"):
                cursors.read(wrong, at)


@pytest.mark.parametrize("cursor", ["0", "1", "abc", "NaN", "1E+17", "1.5E+400", "-2"])
def test_cursors_that_nobody_handed_out(start: Start, cursor: str) -> None:
    assert get(start(records=5), NAME, LIST, cursor=cursor).status_code == 400


@pytest.mark.parametrize(("asked", "given"), [(None, 25), (10, 10), (100, 100), (1000, 100)])
def test_page_sizes(start: Start, asked: int | None, given: int) -> None:
    answer = get(start(records=150), NAME, LIST, per_page=asked)
    assert len(records(NAME, answer)) == given
    metadata = answer.json()["metadata"]
    assert (metadata["total_count"], metadata["total_pages"]) == (150, -(-150 // given))


def test_pages_by_number_go_only_so_far(start: Start) -> None:
    sim = start(records=110)
    assert len(records(NAME, get(sim, NAME, LIST, per_page=10, page=10))) == 10
    answer = get(sim, NAME, LIST, per_page=10, page=11)
    assert answer.status_code == 400
    assert "cursor" in answer.json()["errors"]["base"][0]


def test_created_at_filters_to_the_second_in_whatever_zone(start: Start) -> None:
    sim = start(records=60)
    calls = sim.world.calls(NAME)
    since, until = calls[10].created_at.replace(microsecond=0), calls[20].created_at.replace(microsecond=0)
    inside = [call.id for call in calls if since <= call.created_at <= until]
    assert inside == [call.id for call in calls[10:20]], "a call at …59.300 is after …59"
    eastern = [moment.astimezone(sim.provider(NAME).zone) for moment in (since, until)]  # type: ignore[attr-defined]
    for asked in (
        {"created_at_from": f"{since:%Y-%m-%d %H:%M:%S} UTC", "created_at_to": f"{until:%Y-%m-%d %H:%M:%S} +0000"},
        {
            f"created_at_{end}": f"{moment:%Y-%m-%d %H:%M:%S %z}"
            for end, moment in zip(("from", "to"), eastern, strict=True)
        },
        {
            f"created_at_{end}": f"{moment:%Y-%m-%d %H:%M:%S}"
            for end, moment in zip(("from", "to"), eastern, strict=True)
        },
        {
            "created_at_from": f"{since:%Y-%m-%d %H:%M:%S}",
            "created_at_to": f"{until:%Y-%m-%d %H:%M:%S}",
            "time_zone": "UTC",
        },
    ):
        assert [id_of(record) for record in listed(sim, order="asc", **asked)] == inside


@pytest.mark.parametrize(
    "bad",
    [
        {"created_at_from": "2026-03-01T00:00:00Z"},
        {"created_at_to": "yesterday"},
        {"created_at_from": "2026-03-01 00:00:00", "time_zone": "Mars/Olympus"},
        {"per_page": "many"},
        {"order": "updated_at"},
    ],
)
def test_what_cannot_be_read_is_refused(start: Start, bad: dict[str, str]) -> None:
    sim = start(records=5)
    answer = send(sim, NAME, "GET", LIST, params=bad)
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_there_is_no_filter_by_update(start: Start) -> None:
    sim = start(records=20)
    assert len(listed(sim, updated_at_from="2030-01-01 00:00:00 UTC")) == 20


def test_filters(start: Start) -> None:
    sim = start(records=100)
    for name, wanted in (("offer_id", 9001), ("traffic_source_id", 501), ("buyer_id", 27002)):
        found = listed(sim, **{name: wanted})
        assert 0 < len(found) < 100
        assert {record[name] for record in found} == {wanted}
    assert {record["buyer_converted"] for record in listed(sim, buyer_converted="true")} == {"Converted"}


def test_a_bare_list_on_request(start: Start) -> None:
    sim = start(records=5)
    assert get(sim, NAME, LIST, root="false").json() == listed(sim)


# ── what a record looks like ──


def test_the_habits_of_its_fields(start: Start) -> None:
    calls = listed(start(records=100))
    assert {type(call["id"]) for call in calls} == {int}
    assert {call["agent_duration"] for call in calls} == {""}
    assert {call["buyer_converted"] for call in calls} == {"Converted", "Not Converted", ""}
    missed = [call for call in calls if call["answered_duration"] == ""]
    assert 0 < len(missed) < 100
    assert {type(call["answered_duration"]) for call in calls} == {int, str}
    assert {(call["recording_url"], call["buyer"]) for call in missed} == {("", None)}


def test_times_carry_the_accounts_offset_and_milliseconds(start: Start) -> None:
    sim = start(records=100, now=datetime(2026, 3, 20, tzinfo=UTC))
    for record in listed(sim):
        truth = sim.provider(NAME).find(record["uuid"])
        assert truth
        for told, known in (
            ("created_at", "started_at"),
            ("ended_at", "ended_at"),
            ("updated_at", "provider_updated_at"),
        ):
            moment = datetime.fromisoformat(record[told])
            assert moment == datetime.fromisoformat(truth[known])
            assert record[told][-6:] == ("-05:00" if moment < datetime(2026, 3, 8, 7, tzinfo=UTC) else "-04:00")
            assert record[told][19] == "."


def test_what_a_call_cost_adds_up(start: Start) -> None:
    sim = start(records=30)
    for record in listed(sim):
        truth = sim.provider(NAME).find(record["uuid"])
        assert truth
        assert Decimal(str(record["provider_cost"])) + Decimal(str(record["trackdrive_cost"])) == Decimal(truth["cost"])


# ── who may ask ──


@pytest.mark.parametrize("auth", [None, ("td-sim-public", "wrong"), ("wrong", "td-sim-private")])
def test_wrong_keys(start: Start, auth: tuple[str, str] | None) -> None:
    answer = requests.get(start(records=5).url(NAME) + LIST, auth=auth, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["status"] == 401


def test_keys_in_the_query_are_no_keys(start: Start) -> None:
    sim = start(records=5)
    assert requests.get(sim.url(NAME) + LIST, params=sim.credentials(NAME), timeout=10).status_code == 401


# ── one call ──


def test_one_call_by_either_id(start: Start) -> None:
    sim = start(records=20)
    record = listed(sim)[7]
    for key in (record["uuid"], record["id"]):
        answer = get(sim, NAME, f"/calls/{key}").json()
        assert answer["call"] == record
        assert (answer["status"], answer["errors"], answer["metadata"]) == (200, [], {"root": "call"})
        assert answer["checksum"]
    assert get(sim, NAME, "/calls/nobody").status_code == get(sim, NAME, "/calls/1").status_code == 404
    assert sim.stats[NAME].paths["/calls/{id}"] == 3


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_update_is_told_by_the_call_the_list_and_the_truth(start: Start, method: str) -> None:
    sim = start(records=20)
    before = listed(sim)[5]
    sim.world.clock.advance(60)
    given = {"revenue": "12.50", "payout": 3, "buyer_converted": False, "post_call_tokens": {"zip": 90210}}
    answer = send(sim, NAME, method, f"/calls/{before['uuid']}", json=given).json()["call"]
    after = listed(sim)[5]
    assert answer == after == get(sim, NAME, f"/calls/{before['id']}").json()["call"]
    assert (after["revenue"], after["payout"], after["token_values"]["zip"]) == (12.5, 3.0, "90210")
    assert after["token_values"]["sub_id"] == before["token_values"]["sub_id"]
    assert after["buyer_converted"] in ("Not Converted", "")
    assert datetime.fromisoformat(after["updated_at"]) == sim.world.clock.now()
    truth = sim.provider(NAME).find(before["uuid"])
    assert truth
    assert (Decimal(truth["revenue"]), Decimal(truth["payout"])) == (Decimal("12.5"), Decimal(3))
    assert datetime.fromisoformat(truth["provider_updated_at"]) == sim.world.clock.now()
    assert sim.provider(NAME).writes == {
        "call.updated": 1,
        "revenue.set": 1,
        "payout.set": 1,
        "conversion.set": 1,
        "tokens.set": 1,
    }


def test_what_is_added_twice_is_there_twice_and_seen(start: Start) -> None:
    sim = start(records=20)
    before = listed(sim)[5]
    for _ in range(2):
        send(
            sim, NAME, "POST", f"/calls/update_call/{before['uuid']}", params={"add_revenue": "2.55", "add_payout": "1"}
        )
    after = listed(sim)[5]
    assert Decimal(str(after["revenue"])) == Decimal(str(before["revenue"])) + Decimal("5.10")
    assert Decimal(str(after["payout"])) == Decimal(str(before["payout"])) + 2
    assert sim.provider(NAME).writes == {"call.updated": 2, "revenue.added": 2, "payout.added": 2}


def test_a_write_counts_even_if_its_answer_is_lost(start: Start) -> None:
    sim = start(records=5, habits="cut_connections=1")
    call_id = sim.provider(NAME).ids()[0]
    with pytest.raises(requests.RequestException):
        send(sim, NAME, "PUT", f"/calls/{call_id}", json={"add_revenue": 1})
    assert sim.provider(NAME).writes["revenue.added"] == 1


@pytest.mark.parametrize(
    "given",
    [
        {"revenue": "lots"},
        {"revenue": 5, "buyer_converted": "perhaps"},
        {"add_payout": None},
        {"post_call_tokens": "a=1"},
    ],
)
def test_an_update_that_cannot_be_read_changes_nothing(start: Start, given: dict[str, Any]) -> None:
    sim = start(records=5)
    before = listed(sim)
    answer = send(sim, NAME, "PUT", f"/calls/{before[0]['uuid']}", json=given)
    assert (answer.status_code, answer.json()["status"]) == (422, 422)
    assert listed(sim) == before
    assert not sim.provider(NAME).writes


def test_a_call_that_was_asked_for_by_its_id_changes_late_too(start: Start) -> None:
    sim = start(records=5, habits="late_changes=1")
    seen, unseen = sim.provider(NAME).ids()[:2]
    before = get(sim, NAME, f"/calls/{seen}").json()["call"], sim.provider(NAME).find(unseen)
    sim.world.clock.advance(20)
    assert get(sim, NAME, f"/calls/{seen}").json()["call"]["updated_at"] > before[0]["updated_at"]
    assert sim.provider(NAME).find(unseen) == before[1]


# ── reports ──


def test_stats_count_and_sum_up_what_the_list_shows(start: Start) -> None:
    sim = start(records=100)
    ever = {"created_at_from": "2000-01-01 00:00:00 UTC", "created_at_to": "2100-01-01 00:00:00 UTC"}
    calls = listed(sim)

    def stats(group: str, stat: str) -> dict[str, float]:
        answer = get(sim, NAME, "/calls/stats", group_by=group, stat=stat, **ever).json()["stats"]
        assert isinstance(answer, dict)
        return answer

    assert stats("status", "count") == {"finished": 100}
    assert sum(stats("created_at_day", "revenue").values()) == pytest.approx(sum(call["revenue"] for call in calls))
    converted = [call for call in calls if call["buyer_converted"] == "Converted"]
    assert stats("buyer_converted", "count")["Converted"] == len(converted)
    assert stats("created_at_month", "count") == {
        month: sum(call["created_at"].startswith(month[:7]) for call in calls)
        for month in ("2026-01-01", "2026-02-01", "2026-03-01")
        if any(call["created_at"].startswith(month[:7]) for call in calls)
    }
    assert get(sim, NAME, "/calls/stats", group_by="status", stat="count").status_code == 400
    assert get(sim, NAME, "/calls/stats", group_by="mood", stat="count", **ever).status_code == 400


# ── subscriptions, numbers, offers ──


def test_subscriptions_are_made_listed_and_deleted(start: Start) -> None:
    sim = start(records=0)
    given = {"target_url": "https://a.example.com/hook", "event": "call_ended", "trigger_fields": {"offer_id": 9001}}
    made = send(sim, NAME, "POST", "/subscriptions", json=given).json()["subscription"]
    assert {key: made[key] for key in given} == given
    assert get(sim, NAME, "/subscriptions").json()["subscriptions"] == [made]
    assert sim.provider(NAME).targets("call_ended") == ["https://a.example.com/hook"]  # type: ignore[attr-defined]
    gone = send(sim, NAME, "DELETE", f"/subscriptions/{made['id']}")
    assert gone.json()["subscription"] == made
    assert get(sim, NAME, "/subscriptions").json()["subscriptions"] == []
    assert send(sim, NAME, "DELETE", f"/subscriptions/{made['id']}").status_code == 404
    assert sim.provider(NAME).writes == {"subscription.added": 1, "subscription.removed": 1}


@pytest.mark.parametrize(
    "given", [{"target_url": "here", "event": "call_ended"}, {"target_url": "http://a", "event": "x"}]
)
def test_a_subscription_that_makes_no_sense(start: Start, given: dict[str, str]) -> None:
    sim = start(records=0)
    assert send(sim, NAME, "POST", "/subscriptions", json=given).status_code == 422
    assert not sim.provider(NAME).writes


def test_each_purchase_is_another_number_and_counted(start: Start) -> None:
    sim = start(records=0)
    bought = [send(sim, NAME, "POST", "/phone_numbers", json={"name": "New"}).json()["phone_number"] for _ in range(2)]
    numbers = get(sim, NAME, "/phone_numbers").json()["phone_numbers"]
    assert numbers[-2:] == bought
    assert len({each["number"] for each in numbers} | {each["id"] for each in numbers}) == 14
    assert send(sim, NAME, "POST", "/phone_numbers", json={"number": bought[0]["number"]}).status_code == 422
    renamed = send(sim, NAME, "PUT", f"/phone_numbers/{bought[0]['id']}", json={"name": "Other"}).json()["phone_number"]
    assert renamed == bought[0] | {"name": "Other"}
    gone = send(sim, NAME, "DELETE", f"/phone_numbers/{bought[0]['id']}").json()["phone_number"]
    assert gone == renamed
    assert sim.provider(NAME).writes == {"number.added": 2, "number.changed": 1, "number.removed": 1}


def test_these_lists_come_in_pages_too(start: Start) -> None:
    sim = start(records=0)
    page = json.loads(get(sim, NAME, "/offers", per_page=4).text, parse_float=str)
    rest = get(sim, NAME, "/offers", per_page=4, cursor=page["metadata"]["next_cursor"]).json()
    assert [len(each["offers"]) for each in (page, rest)] == [4, 2]
    assert rest["metadata"]["next_cursor"] == 0


def test_offers_are_those_of_the_calls_and_cannot_be_made(start: Start) -> None:
    sim = start(records=50)
    offers = {each["id"]: each["name"] for each in get(sim, NAME, "/offers").json()["offers"]}
    assert {(call["offer_id"], call["offer"]) for call in listed(sim)} <= set(offers.items())
    assert get(sim, NAME, "/offers/9002").json()["offer"]["name"] == offers[9002]
    assert get(sim, NAME, "/offers/1").status_code == 404
    assert send(sim, NAME, "POST", "/offers", json={"name": "Mine"}).status_code == 404


def test_writes_over_http(start: Start) -> None:
    sim = start(records=0)
    send(sim, NAME, "POST", "/phone_numbers")
    stats = requests.get(f"{sim.address}/_simulator/stats", timeout=10).json()
    assert stats[NAME]["writes"] == {"number.added": 1}
