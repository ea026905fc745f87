from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import orjson
import pytest
import requests
from asking import LISTS, NOW, Start, call_logs, get, id_of, records, send

from simulator import Call, Simulator, World
from simulator.letters import SHAPES, USUAL_SHAPES, Letter, Mix, write
from simulator.ringba_letters import EVENTS, OWN_EVENTS
from simulator.ringba_records import COLUMNS

LIST = LISTS["ringba"]
NAMES = [{"column": name} for name in COLUMNS]


def walk(sim: Simulator, **asked: Any) -> list[str]:
    """The ids, page by page, until as many came as the total says."""
    ids: list[str] = []
    while True:
        report = get(sim, "ringba", LIST, **{"size": 100, "offset": len(ids), **asked}).json()["report"]
        ids += [id_of(record) for record in report["records"]]
        if len(ids) >= report["totalCount"] or not report["records"]:
            return ids


def page(sim: Simulator, **asked: Any) -> list[Any]:
    return records("ringba", get(sim, "ringba", LIST, **{"size": 1000, **asked}))


def moment(milliseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat()


# ── pages ──


def test_the_pages_hold_every_call_once_newest_first(start: Start) -> None:
    sim = start(records=250)
    body = call_logs(size=100)
    del body["orderByColumns"]
    first = send(sim, "ringba", "POST", LIST, json=body).json()
    assert first["isSuccessful"] is True
    assert first["transactionId"].startswith("TR")
    assert (first["report"]["partialResult"], first["report"]["totalCount"]) == (False, 250)
    assert walk(sim) == sim.provider("ringba").ids()[::-1]
    assert [id_of(record) for record in first["report"]["records"]] == walk(sim)[:100]


def test_ascending_on_request(start: Start) -> None:
    sim = start(records=120)
    assert walk(sim, order="asc") == sim.provider("ringba").ids()


def test_a_page_is_never_longer_than_1000(start: Start) -> None:
    sim = start(records=1001)
    assert len(page(sim, size=5000)) == 1000
    assert len(page(sim, size=5000, offset=1000)) == 1


def test_the_window_is_of_the_moment_at_which_calls_began_both_ends_included(start: Start) -> None:
    sim = start(records=60)
    rows = page(sim, order="asc")
    window = {"reportStart": moment(rows[10]["callDt"]), "reportEnd": moment(rows[20]["callDt"])}
    assert page(sim, order="asc", **window) == rows[10:21]
    calls = sim.world.calls("ringba")
    assert [moment(row["callDt"]) for row in rows] == [call.started_at.isoformat() for call in calls]


def test_calls_that_began_together_have_one_moment(start: Start) -> None:
    moments = [row["callDt"] for row in page(start(records=40, burst=20))]
    assert len(set(moments)) == 2


@pytest.mark.parametrize(
    "window",
    [
        {"reportStart": None},
        {"reportEnd": "yesterday"},
        {"reportStart": "2026-03-01T00:00:00"},
        {"reportEnd": "2026-03-01T00:00:00-05:00"},
        {"size": "10"},
        {"offset": -1},
    ],
)
def test_what_cannot_be_read_is_refused(start: Start, window: dict[str, Any]) -> None:
    answer = get(start(records=5), "ringba", LIST, **window)
    assert answer.status_code == 400
    assert answer.json()["isSuccessful"] is False


def test_a_body_that_is_no_object_is_refused(start: Start) -> None:
    sim = start(records=5)
    assert send(sim, "ringba", "POST", LIST).status_code == 400
    assert send(sim, "ringba", "POST", LIST, json=[]).status_code == 400


@pytest.mark.parametrize(("token", "status"), [("Token sim-ringba-token", 200), ("sim-ringba-token", 401), ("", 401)])
def test_who_may_ask(start: Start, token: str, status: int) -> None:
    sim = start(records=5)
    url = f"{sim.url('ringba')}/{sim.credentials('ringba')['account_id']}{LIST}"
    assert requests.post(url, json=call_logs(), headers={"Authorization": token}, timeout=10).status_code == status


def test_another_account_is_refused(start: Start) -> None:
    sim = start(records=5)
    headers = {"Authorization": f"Token {sim.credentials('ringba')['api_token']}"}
    url = f"{sim.url('ringba')}/RA00000000000000000000000000000000{LIST}"
    assert requests.post(url, json=call_logs(), headers=headers, timeout=10).status_code == 403
    accounts = requests.get(f"{sim.url('ringba')}/ringbaaccounts", headers=headers, timeout=10).json()
    assert sim.credentials("ringba")["account_id"].startswith("RA")
    assert accounts["account"][0]["accountId"] == sim.credentials("ringba")["account_id"]


# ── columns ──


def test_only_the_columns_asked_for_come_back(start: Start) -> None:
    sim = start(records=20)
    rows = page(sim, valueColumns=[{"column": "callDt"}, {"column": "campaignName"}])
    assert {tuple(row) for row in rows} == {("callDt", "campaignName")}


def test_unknown_columns_are_unprocessable(start: Start) -> None:
    sim = start(records=5)
    for asked in (
        {"valueColumns": [{"column": "callDate"}]},
        {"orderByColumns": [{"column": "callDate"}]},
        {"orderByColumns": [{"column": "recordingUrl"}]},
        {"filters": [{"anyConditionToMatch": [{"column": "callDate", "comparisonType": "EQUALS"}]}]},
        {"filters": [{"anyConditionToMatch": [{"column": "number", "comparisonType": "IS"}]}]},
    ):
        body = {**call_logs(), **asked}
        assert send(sim, "ringba", "POST", LIST, json=body).status_code == 422, asked


def test_the_list_of_columns_can_all_be_asked_for(start: Start) -> None:
    sim = start(records=5)
    listed = get(sim, "ringba", "/calllogs/columns").json()
    names = [column["id"] for column in listed["columns"]]
    assert set(COLUMNS) < set(names)
    rows = page(sim, valueColumns=[{"column": name} for name in names])
    assert len(rows) == 5
    assert not any("noPayoutReason" in row for row in rows)


def test_tags_are_columns_too(start: Start) -> None:
    sim = start(records=5)
    (row,) = page(sim, size=1, valueColumns=[{"column": "tag:InboundNumber:Number"}, {"column": "inboundPhoneNumber"}])
    assert row["tag:InboundNumber:Number"] == row["inboundPhoneNumber"]


def test_types_are_as_published(start: Start) -> None:
    rows = page(start(records=200), valueColumns=NAMES)
    types = {name: {type(row[name]) for row in rows if name in row} for name in COLUMNS}
    assert types["callDt"] == types["callCompletedDt"] == types["callLengthInSeconds"] == {int}
    assert types["conversionAmount"] == types["payoutAmount"] == {float, int}
    assert types["hasConnected"] == types["isLive"] == types["isDuplicate"] == {bool}
    assert all(len(str(row["callDt"])) == 13 for row in rows)


def test_what_is_missing_is_an_empty_text_or_not_there_and_never_null(start: Start) -> None:
    rows = page(start(records=200), valueColumns=NAMES)
    missed = [row for row in rows if not row["hasConnected"]]
    assert {row.get("callConnectionDt") for row in missed} == {"", None}
    assert {"callConnectionDt" in row for row in missed} == {True, False}
    assert not any(value is None for row in rows for value in row.values())
    assert {row["publisherName"] == "" for row in rows} == {True, False}


def test_the_truth_is_what_is_told(start: Start) -> None:
    sim = start(records=100)
    for row in page(sim, valueColumns=NAMES):
        truth = sim.provider("ringba").find(row["inboundCallId"])
        assert truth
        assert truth["started_at"] == datetime.fromisoformat(moment(row["callDt"])).isoformat(timespec="milliseconds")
        assert Decimal(truth["revenue"]) == Decimal(str(row["conversionAmount"]))
        assert Decimal(truth["payout"]) == Decimal(str(row["payoutAmount"]))
        assert (truth["duration_seconds"], truth["converted"]) == (row["callLengthInSeconds"], row["hasConverted"])
        assert (truth["recording_url"] or "") == row["recordingUrl"]


# ── filters and order ──


def test_filters_are_any_of_each(start: Start) -> None:
    sim = start(records=200)
    first, second, *_ = sorted({row["campaignName"] for row in page(sim)})
    campaigns = [
        {"column": "campaignName", "value": name, "comparisonType": "EQUALS", "isNegativeMatch": False}
        for name in (first, second)
    ]
    long = [{"column": "callLengthInSeconds", "value": 100, "comparisonType": "GREATER_THAN"}]
    found = page(sim, filters=[{"anyConditionToMatch": campaigns}, {"anyConditionToMatch": long}])
    wanted = [row for row in page(sim) if row["campaignName"] in (first, second) and row["callLengthInSeconds"] > 100]
    assert found == wanted
    assert 0 < len(wanted) < 150


def test_negative_matches_and_parts_of_a_text(start: Start) -> None:
    sim = start(records=100)
    rows = page(sim)
    begins = {"column": "inboundPhoneNumber", "value": "+1415", "comparisonType": "BEGINS_WITH"}
    found = page(sim, filters=[{"anyConditionToMatch": [begins | {"isNegativeMatch": True}]}])
    assert found == [row for row in rows if not row["inboundPhoneNumber"].startswith("+1415")]
    holds = {"column": "campaignName", "value": "solar", "comparisonType": "CONTAINS"}
    assert page(sim, filters=[{"anyConditionToMatch": [holds]}]) == [
        row for row in rows if "Solar" in row["campaignName"]
    ]


def test_any_column_may_be_sorted_by(start: Start) -> None:
    sim = start(records=60)
    body = {**call_logs(size=60), "orderByColumns": [{"column": "callLengthInSeconds", "direction": "desc"}]}
    lengths = [row["callLengthInSeconds"] for row in records("ringba", send(sim, "ringba", "POST", LIST, json=body))]
    assert lengths == sorted(lengths, reverse=True)


# ── details ──


def test_details_are_asked_for_by_a_list_of_ids(start: Start) -> None:
    sim = start(records=60)
    ids = sim.provider("ringba").ids()[:2]
    answer = send(sim, "ringba", "POST", "/calllogs/detail", json={"InboundCallIds": [*ids, "nobody"]}).json()
    told = answer["report"]["records"]
    assert answer["isSuccessful"] is True
    assert [record["inboundCallId"] for record in told] == ids
    assert {"CompletedCall"} <= {event["name"] for event in told[0]["events"]}
    tags = {(tag["type"], tag["name"]): tag["value"] for tag in told[0]["message-tags"]}
    assert tags["InboundNumber", "Number"] == told[0]["inboundPhoneNumber"]
    assert send(sim, "ringba", "POST", "/calllogs/detail", json={"InboundCallIds": ids[0]}).status_code == 400


# ── calls under way ──


def test_a_call_that_goes_on_is_told_as_live_until_it_is_over(start: Start) -> None:
    sim = start(records=5)
    call = sim.world.unlisted("ringba", 1)
    call.started_at = call.created_at = NOW - timedelta(seconds=10)
    call.ended_at = NOW + timedelta(seconds=20)
    sim.world.publish(call)
    newest = page(sim, size=1)[0]
    assert (newest["inboundCallId"], newest["isLive"]) == (call.id, True)
    assert "callLengthInSeconds" not in newest
    assert "conversionAmount" not in newest
    live = sim.provider("ringba").find(call.id)
    assert live
    assert live["status"] == "in_progress"
    sim.world.clock.advance(21)
    after = page(sim, size=1)[0]
    assert after["isLive"] is False
    assert after["callLengthInSeconds"] == call.seconds


def test_live_calls_as_a_habit(start: Start) -> None:
    sim = start(records=30, habits="live_calls=0.5", days=0.02)
    live = {row["inboundCallId"] for row in page(sim) if row["isLive"]}
    assert 0 < len(live) < 30
    sim.world.clock.advance(19)
    assert {row["inboundCallId"] for row in page(sim) if row["isLive"]} == live
    sim.world.clock.advance(1)
    over = page(sim)
    assert not any(row["isLive"] for row in over)
    assert live < {row["inboundCallId"] for row in over}


def test_calls_of_long_ago_are_over(start: Start) -> None:
    rows = page(start(records=30, habits="live_calls=1", days=30))
    assert not any(row["isLive"] for row in rows)


# ── habits of its own ──


def test_a_long_window_is_answered_in_part_and_says_so(start: Start) -> None:
    sim = start(records=240, days=10, habits="partial_result=24")
    everything = get(sim, "ringba", LIST, size=1000).json()["report"]
    assert everything["partialResult"] is True
    assert everything["totalCount"] == len(everything["records"]) == 160
    halves: set[str] = set()
    days = [NOW - timedelta(days=10) + timedelta(hours=12 * number) for number in range(21)]
    for since, until in pairwise(days):
        report = get(sim, "ringba", LIST, size=1000, reportStart=since.isoformat(), reportEnd=until.isoformat()).json()[
            "report"
        ]
        assert report["partialResult"] is False
        halves |= {id_of(row) for row in report["records"]}
    assert halves == set(sim.provider("ringba").ids())


def test_offsets_beyond_the_cap_are_refused(start: Start) -> None:
    sim = start(records=50, habits="capped_offset=20")
    assert get(sim, "ringba", LIST, offset=20).status_code == 200
    assert get(sim, "ringba", LIST, offset=21).status_code == 400


def test_two_limits_at_once(start: Start) -> None:
    sim = start(records=5, habits="rate_limit")
    statuses = [get(sim, "ringba", LIST).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


@pytest.mark.parametrize(("habits", "status"), [("", 429), ("limit_in_body", 200)])
def test_beyond_the_limit_the_body_says_so_whatever_the_status(start: Start, habits: str, status: int) -> None:
    sim = start(records=5, habits=habits, limits={"ringba": "1/hour"})
    get(sim, "ringba", LIST)
    answer = get(sim, "ringba", LIST)
    assert (answer.status_code, answer.json()["isRateLimited"]) == (status, True)
    assert answer.json()["rateLimit"]["perMinute"]["limit"] == 80
    assert ("Retry-After" in answer.headers) == (status == 429)


def test_duplicates_across_pages_hide_nothing_from_who_trusts_the_total(start: Start) -> None:
    sim = start(records=250, habits="duplicates_across_pages=3")
    ids = walk(sim)
    assert (len(ids), len(set(ids))) == (256, 250)


def test_endless_pages(start: Start) -> None:
    sim = start(records=150, habits="endless_next")
    for offset in (100, 500, 5000):
        report = get(sim, "ringba", LIST, size=100, offset=offset).json()["report"]
        assert report["totalCount"] > offset + 100
        assert report["records"]


def test_what_a_request_meets_depends_on_its_body_and_not_on_those_before_it(start: Start) -> None:
    def statuses(offsets: list[int]) -> list[int]:
        sim = start(records=100, habits="server_errors=0.5")
        return [get(sim, "ringba", LIST, size=1, offset=offset).status_code for offset in offsets]

    forwards = [*range(20)]
    once = statuses(forwards)
    assert statuses(forwards[::-1]) == once[::-1]
    assert 4 < once.count(200) < 16


def test_schema_drift_shows_in_the_list_and_hides_what_it_spoils(start: Start) -> None:
    sim = start(records=40, habits="schema_drift=0.5")
    drifted = [row for row in page(sim) if "schema_version" in row]
    assert 8 < len(drifted) < 32
    assert all(isinstance(row["campaignName"], dict) for row in drifted)
    truth = sim.provider("ringba").find(drifted[0]["inboundCallId"])
    assert truth
    assert "campaign_name" not in truth


def test_a_lost_pixel_is_gone_or_switched_off_and_nobody_is_told(start: Start) -> None:
    sim = start(records=0, habits="subscription_lost=1")
    asked = {"pixelUrl": "https://example.com/", "eventCode": "Completed"}
    ids = [send(sim, "ringba", "POST", "/EventCallBacks", json=asked).json()["eventCallBack"]["id"] for _ in range(12)]
    assert all(pixel["enabled"] for pixel in get(sim, "ringba", "/EventCallBacks").json()["eventCallBacks"])
    sim.world.clock.advance(20)
    left = get(sim, "ringba", "/EventCallBacks").json()["eventCallBacks"]
    assert 0 < len(left) < len(ids)
    assert not any(pixel["enabled"] for pixel in left)
    assert sim.provider("ringba").writes == {"pixel.added": 12}


# ── pixels ──


def pixel(call: Call, event: str, shape: str = "pixel_get") -> tuple[Letter, dict[str, str]]:
    """The letter, and what a receiver reads in it."""
    letter = SHAPES["ringba"][shape](call, event, ZoneInfo("UTC"))
    said = orjson.loads(letter.body) if letter.content_type.endswith("json") and letter.body else None
    return letter, said or dict(parse_qsl(letter.body.decode() or letter.query, keep_blank_values=True))


def test_a_pixel_is_a_get_with_all_in_its_url_or_a_post() -> None:
    call = World(1, 50, now=NOW).calls("ringba")[7]
    letters = {shape: pixel(call, "completed", shape) for shape in SHAPES["ringba"]}
    letter, said = letters["pixel_get"]
    assert (letter.method, letter.body) == ("GET", b"")
    assert said["inboundCallId"] == call.id
    assert letters["pixel_post_json"][1] == letters["pixel_post_form"][1] == said
    assert {letters[shape][0].method for shape in ("pixel_post_json", "pixel_post_form")} == {"POST"}
    assert "pixel_unexpanded" not in USUAL_SHAPES["ringba"]


def test_an_unexpanded_pixel_names_no_call() -> None:
    calls = World(1, 50, now=NOW).calls("ringba")
    ids = {pixel(call, "completed", "pixel_unexpanded")[1]["inboundCallId"] for call in calls}
    assert ids == {"[Call:InboundCallId]", ""}


def test_pixels_tell_what_is_known_when_they_fire() -> None:
    call = next(call for call in World(1, 50, now=NOW).calls("ringba") if call.converted)
    said = {event: pixel(call, event)[1] for event in (*EVENTS, *OWN_EVENTS)}
    assert [said[event]["event"] for event in EVENTS] == ["Incoming", "Connected", "Completed", "Converted"]
    known = {event: {name for name, value in fields.items() if value} for event, fields in said.items()}
    assert not known["initiated"] & {"callConnectionDt", "callLengthInSeconds", "recordingUrl", "conversionAmount"}
    assert "callConnectionDt" in known["answered"]
    assert "callLengthInSeconds" in known["completed"]
    assert "payoutAmount" not in known["converted"]
    assert said["converted"]["conversionAmount"] == str(call.revenue)
    assert said["Payout"]["payoutAmount"] == str(call.payout)
    assert ["recordingUrl" in known[event] for event in ("completed", "Recording")] == [False, True]


def test_pixels_of_ringbas_own_events_come_only_where_they_happened() -> None:
    world = World(1, 100, now=NOW)
    for letter in write(world, "ringba", 100, "secret", Mix(events=OWN_EVENTS)):
        call = world.call("ringba", letter.call_id)
        assert call
        assert letter.event != "Payout" or call.converted
        assert letter.event != "Recording" or call.answered_at


@pytest.mark.parametrize("place", ["header", "query", "path"])
def test_pixels_show_the_secret_where_the_account_wants_it(place: str) -> None:
    letters = write(World(1, 50, now=NOW), "ringba", 30, "s3cret", Mix(forged=0.2, secret_in=place))
    shown = {"header": lambda one: str(one.headers), "query": lambda one: one.query, "path": lambda one: one.path}
    assert all("s3cret" in shown[place](letter) for letter in letters if letter.kind == "true")
    assert not any("s3cret" in shown[place](letter) for letter in letters if letter.kind == "no_secret")
    assert {letter.kind for letter in letters} == {"true", "wrong_secret", "no_secret"}
