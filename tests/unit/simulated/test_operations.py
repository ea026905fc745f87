"""What can be done at a provider beside listing calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import requests
from asking import Start, call_logs, get, id_of, records, send

from simulator import Simulator
from simulator.calls import CAMPAIGNS, Call
from simulator.retreaver import POSTBACK_KEY

RANGE = {"created_at_start": "2000-01-01T00:00:00Z", "created_at_end": "2001-12-30T00:00:00Z"}


def a_sale(sim: Simulator, provider: str) -> Call:
    return next(call for call in sim.world.calls(provider) if call.converted)


def writes(sim: Simulator, provider: str) -> dict[str, int]:
    return dict(sim.provider(provider).writes)


# ── Ringba: payments and annotations ──


def pay(sim: Simulator, path: str, call: Call, **fields: Any) -> requests.Response:
    body = {"inboundCallId": call.id, "reason": "a test", "adjustConversion": True, "adjustPayout": False, **fields}
    return send(sim, "ringba", "POST", path, json=body)


def money(sim: Simulator, call: Call) -> tuple[Decimal, Decimal]:
    """Revenue and payout as the list tells them now."""
    (row,) = [row for row in records("ringba", get(sim, "ringba", "/calllogs", size=1000)) if id_of(row) == call.id]
    return Decimal(str(row["conversionAmount"])), Decimal(str(row["payoutAmount"]))


def test_relative_payments_add_up(start: Start) -> None:
    sim = start(records=30)
    call = a_sale(sim, "ringba")
    revenue, payout = money(sim, call)
    for _ in range(2):
        assert pay(sim, "/calls/payments", call, adjustConverionByAmount=1.25).status_code == 200
    assert money(sim, call) == (revenue + Decimal("2.50"), payout)
    assert writes(sim, "ringba") == {"call.updated": 2, "revenue.added": 2}
    pay(sim, "/calls/payments", call, adjustConversion=False, adjustPayout=True, adjustPayoutByAmount=-0.5)
    assert money(sim, call)[1] == payout - Decimal("0.5")
    assert writes(sim, "ringba") == {"call.updated": 3, "revenue.added": 2, "payout.added": 1}


def test_absolute_payments_do_not(start: Start) -> None:
    sim = start(records=30)
    call = a_sale(sim, "ringba")
    for _ in range(2):
        pay(sim, "/calls/payments/override", call, adjustPayout=True, newConversionAmount="9.99", newPayoutAmount=0)
    assert money(sim, call) == (Decimal("9.99"), 0)
    assert writes(sim, "ringba") == {"call.updated": 2, "revenue.set": 2, "payout.set": 2}
    truth = sim.provider("ringba").find(call.id)
    assert truth
    assert truth["revenue"] == "9.99"


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/calls/payments", {"adjustConversionByAmount": 1}, 422),  # spelt right, and so not understood
        ("/calls/payments", {"adjustConverionByAmount": 1, "adjustConversion": False}, 422),
        ("/calls/payments", {"adjustConverionByAmount": 1, "reason": ""}, 422),
        ("/calls/payments", {"adjustConverionByAmount": -1_000_000}, 400),
        ("/calls/payments/override", {"newConversionAmount": -1}, 400),
        ("/calls/payments", {"adjustConverionByAmount": 1, "inboundCallId": "nobody"}, 404),
    ],
)
def test_payments_that_are_refused_change_nothing(start: Start, path: str, fields: dict[str, Any], status: int) -> None:
    sim = start(records=30)
    call = a_sale(sim, "ringba")
    before = money(sim, call)
    assert pay(sim, path, call, **fields).status_code == status
    assert money(sim, call) == before
    assert not writes(sim, "ringba")


def test_an_adjusted_call_says_so_and_an_annotated_one_too(start: Start) -> None:
    sim = start(records=30)
    paid, noted = [call for call in sim.world.calls("ringba") if call.converted][:2]
    rows = records("ringba", get(sim, "ringba", "/calllogs", size=1000))
    assert not any(row["wasConversionAdjusted"] or row["hasAnnotations"] for row in rows)
    pay(sim, "/calls/payments/override", paid, newConversionAmount=1)
    tags = [{"tagType": "Annotations", "tagName": "quality", "tagValue": "good"}]
    body = {"inboundCallId": noted.id, "tags": tags}
    assert send(sim, "ringba", "POST", "/calls/annotate", json=body).status_code == 200
    rows = {id_of(row): row for row in records("ringba", get(sim, "ringba", "/calllogs", size=1000))}
    assert [call_id for call_id, row in rows.items() if row["wasConversionAdjusted"]] == [paid.id]
    assert [call_id for call_id, row in rows.items() if row["hasAnnotations"]] == [noted.id]
    detail = send(sim, "ringba", "POST", "/calllogs/detail", json={"InboundCallIds": [noted.id]}).json()
    told = [tag for tag in detail["report"]["records"][0]["message-tags"] if tag["type"] == "Annotations"]
    assert [(tag["name"], tag["value"]) for tag in told] == [("quality", "good")]
    for wrong in ([], [{"tagType": "Campaign", "tagName": "quality", "tagValue": "good"}]):
        assert send(sim, "ringba", "POST", "/calls/annotate", json={**body, "tags": wrong}).status_code == 422
    assert writes(sim, "ringba") == {"call.updated": 2, "revenue.set": 1}


# ── Ringba: numbers, campaigns, pixels, reports ──


def test_numbers_of_ringba_are_bought_and_given_back(start: Start) -> None:
    sim = start(records=0)
    before = get(sim, "ringba", "/numbers").json()["numbers"]
    asked = {"countryCode": "US", "isTollFree": True, "areaCode": "888", "chargeAccountIfNeeded": True}
    bought = send(sim, "ringba", "POST", "/numbers", json=asked).json()
    again = send(sim, "ringba", "POST", "/numbers", json=asked).json()
    assert bought["numberId"] == bought["number"]["id"] != again["numberId"]
    assert bought["number"]["phoneNumber"].startswith("+1888")
    assert bought["number"]["phoneNumber"] != again["number"]["phoneNumber"]
    assert get(sim, "ringba", f"/numbers/{bought['numberId']}").json()["number"] == bought["number"]
    assert get(sim, "ringba", "/numbers").json()["numbers"] == [*before, bought["number"], again["number"]]
    assert send(sim, "ringba", "DELETE", f"/numbers/{bought['numberId']}").status_code == 200
    assert send(sim, "ringba", "DELETE", f"/numbers/{bought['numberId']}").status_code == 404
    assert get(sim, "ringba", "/numbers").json()["numbers"] == [*before, again["number"]]
    assert writes(sim, "ringba") == {"number.added": 2, "number.removed": 1}


def test_an_area_code_without_numbers_is_a_server_error(start: Start) -> None:
    sim = start(records=0)
    answer = send(sim, "ringba", "POST", "/numbers", json={"countryCode": "US", "areaCode": "907"})
    assert answer.status_code == 500
    assert answer.json()["errors"] == [answer.json()["message"]]
    assert not writes(sim, "ringba")


def test_campaigns_of_ringba_are_those_of_its_calls(start: Start) -> None:
    sim = start(records=100)
    campaigns = get(sim, "ringba", "/campaigns").json()["campaigns"]
    calls = records("ringba", get(sim, "ringba", "/calllogs", size=1000))
    assert {(row["campaignId"], row["campaignName"]) for row in calls} == {(c["id"], c["name"]) for c in campaigns}
    one = get(sim, "ringba", f"/campaigns/{campaigns[0]['id']}").json()["campaign"]
    assert one == campaigns[0]
    assert get(sim, "ringba", "/campaigns/CA0").status_code == 404


def test_pixels_of_ringba(start: Start) -> None:
    sim = start(records=0)
    asked = {"name": "x", "pixelUrl": "https://example.com/?id=[Call:InboundCallId]", "eventCode": "Completed"}
    pixel = send(sim, "ringba", "POST", "/EventCallBacks", json=asked).json()["eventCallBack"]
    assert pixel.items() >= asked.items()
    assert get(sim, "ringba", "/EventCallBacks").json()["eventCallBacks"] == [pixel]
    assert send(sim, "ringba", "POST", "/EventCallBacks", json={"name": "x"}).status_code == 422
    assert send(sim, "ringba", "DELETE", f"/EventCallBacks/{pixel['id']}").status_code == 200
    assert get(sim, "ringba", "/EventCallBacks").json()["eventCallBacks"] == []


def test_insights_sum_up_the_calls_of_a_window(start: Start) -> None:
    sim = start(records=100)
    columns = [{"column": name} for name in ("callCount", "conversionAmount", "payoutAmount")]
    body = call_logs(groupByColumns=[{"column": "campaignName"}], valueColumns=columns)
    report = send(sim, "ringba", "POST", "/insights", json=body).json()["report"]
    calls = sim.world.calls("ringba")
    for record in report["records"]:
        those = [call for call in calls if call.campaign.name == record["campaignName"]]
        assert record["callCount"] == len(those)
        assert Decimal(str(record["conversionAmount"])) == sum(call.revenue or 0 for call in those)
    assert sum(record["callCount"] for record in report["records"]) == 100
    body["valueColumns"] = [{"column": "calls"}]
    assert send(sim, "ringba", "POST", "/insights", json=body).status_code == 422


def test_requests_are_counted_without_ids(start: Start) -> None:
    sim = start(records=0)
    get(sim, "ringba", "/numbers/ABC")
    get(sim, "ringba", "/campaigns")
    assert sim.stats["ringba"].paths == {"/{accountId}/numbers/{id}": 1, "/{accountId}/campaigns": 1}


# ── Retreaver ──


def write_data(sim: Simulator, method: str = "POST", *, key: str = POSTBACK_KEY, **tags: str) -> requests.Response:
    """Data writing has a key of its own, and wants no other."""
    where = "params" if method == "GET" else "data"
    return requests.request(method, f"{sim.url('retreaver')}/data_writing", **{where: {"key": key, **tags}}, timeout=10)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_data_writing_changes_the_call(start: Start, method: str) -> None:
    sim = start(records=30)
    call = a_sale(sim, "retreaver")
    told = get(sim, "retreaver", f"/api/v2/calls/{call.id}.json").json()["call"]
    answer = write_data(sim, method, call_uuid=call.id, revenue="12.50", converted="false", quality="good")
    assert answer.json()["call_uuid"] == call.id
    assert answer.json()["tag_values"] == {"revenue": "12.50", "converted": "false", "quality": "good"}
    assert "found" in answer.json()["status"]
    after = get(sim, "retreaver", f"/api/v2/calls/{call.id}.json").json()["call"]
    assert (after["revenue"], after["converted"], after["payout"]) == (12.5, False, told["payout"])
    assert after["tags"] == {**told["tags"], **answer.json()["tag_values"]}
    assert after["updated_at"] > told["updated_at"]
    newest = records("retreaver", get(sim, "retreaver", "/api/v2/calls.json", sort_by="updated_at"))[0]
    assert newest == after
    assert writes(sim, "retreaver") == {"call.updated": 1, "revenue.set": 1, "converted.set": 1}


def test_data_writing_finds_the_latest_call_of_a_caller(start: Start) -> None:
    sim = start(records=30)
    call = sim.world.calls("retreaver")[3]
    sim.world.calls("retreaver")[20].customer = call.customer
    assert write_data(sim, caller_number=call.customer, geo="x").json()["caller_number"] == call.customer
    assert [bool(sim.world.calls("retreaver")[place].tags) for place in (3, 20)] == [False, True]


def test_data_for_a_call_that_there_is_not_is_kept_for_later(start: Start) -> None:
    sim = start(records=5)
    answer = write_data(sim, call_uuid="nobody", quality="good")
    assert answer.status_code == 200
    assert "stored for later" in answer.json()["status"]
    assert writes(sim, "retreaver") == {"tags.stored": 1}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"key": "wrong", "call_uuid": "x"}, 401),
        ({"quality": "good"}, 400),
        ({"call_uuid": "x", "revenue": "much"}, 400),
    ],
)
def test_data_writing_refuses(start: Start, fields: dict[str, str], status: int) -> None:
    sim = start(records=5)
    assert write_data(sim, **fields).status_code == status
    assert not writes(sim, "retreaver")


def test_numbers_of_retreaver_are_bought_and_given_back(start: Start) -> None:
    sim = start(records=0)
    before = get(sim, "retreaver", "/numbers.json").json()
    asked = {"number": {"type": "Local", "country": "US", "cid": "c01", "afid": "p01", "sid": "mine"}}
    answer = send(sim, "retreaver", "POST", "/numbers.json", json=asked)
    number = answer.json()["number"]
    assert answer.status_code == 201
    assert (number["toll_free"], number["cid"], number["sid"]) == (False, "c01", "mine")
    assert get(sim, "retreaver", f"/numbers/{number['id']}.json").json() == answer.json()
    assert get(sim, "retreaver", "/numbers.json", sub_id="mine").json() == [answer.json()]
    assert get(sim, "retreaver", "/numbers.json", client_cid="c00").json() == before[:1]
    assert get(sim, "retreaver", "/numbers.json").json() == [*before, answer.json()]
    assert send(sim, "retreaver", "DELETE", f"/numbers/{number['id']}.json").status_code == 204
    assert get(sim, "retreaver", f"/numbers/{number['id']}.json").status_code == 404
    assert writes(sim, "retreaver") == {"number.added": 1, "number.removed": 1}
    assert sim.stats["retreaver"].paths["/numbers/{id}.json"] == 3


@pytest.mark.parametrize("asked", [None, {}, {"number": {"type": "Vanity"}}, {"number": {"type": "Local", "cid": "?"}}])
def test_numbers_of_retreaver_that_cannot_be_bought(start: Start, asked: Any) -> None:
    sim = start(records=0)
    assert send(sim, "retreaver", "POST", "/numbers.json", json=asked).status_code == 400
    assert not writes(sim, "retreaver")


def test_campaigns_of_retreaver_by_either_id(start: Start) -> None:
    sim = start(records=50)
    campaigns = [each["campaign"] for each in get(sim, "retreaver", "/campaigns.json").json()]
    calls = records("retreaver", get(sim, "retreaver", "/api/v2/calls.json", per_page=100))
    assert {(call["cid"], call["campaign_name"]) for call in calls} == {(c["cid"], c["name"]) for c in campaigns}
    for path in (calls[0]["campaign_id"], f"cid/{calls[0]['cid']}"):
        campaign = get(sim, "retreaver", f"/campaigns/{path}.json").json()["campaign"]
        assert campaign["name"] == calls[0]["campaign_name"]
    assert get(sim, "retreaver", "/campaigns/cid/none.json").status_code == 404


def test_a_report_of_retreaver_sums_up_the_calls_of_a_range(start: Start) -> None:
    sim = start(records=200)
    days = {"domain": "calls", "created_at_start": "2026-02-01T00:00:00Z", "created_at_end": "2026-03-02T00:00:00Z"}
    calls = [call for call in sim.world.calls("retreaver") if call.created_at.isoformat() < "2026-03-02"]
    daily = get(sim, "retreaver", "/api/v1/reports.json", facet="daily", per_page=100, **days).json()
    assert daily["count"] == daily["count_total"] == len(daily["data"]) == 29
    assert sum(row["total_calls"] for row in daily["data"]) == len(
        [call for call in calls if call.created_at.isoformat() >= "2026-02-01"]
    )
    first = daily["data"][0]
    those = [call for call in calls if call.created_at.isoformat().startswith(first["facet_name"])]
    assert first["converted_count"] == sum(call.converted for call in those)
    assert Decimal(str(first["revenue"])) == sum(call.revenue or 0 for call in those)
    campaigns = get(sim, "retreaver", "/api/v1/reports.json", facet="campaign", per_page=4, page=2, **days).json()
    assert (campaigns["count"], campaigns["count_total"]) == (2, len(CAMPAIGNS))


@pytest.mark.parametrize(
    "wrong",
    [{"facet": "hourly"}, {"domain": "numbers"}, {"created_at_end": "2002-01-01T00:00:00Z"}, {"created_at_start": ""}],
)
def test_reports_of_retreaver_that_are_refused(start: Start, wrong: dict[str, str]) -> None:
    asked = {"domain": "calls", "facet": "daily", **RANGE}
    sim = start(records=5)
    assert get(sim, "retreaver", "/api/v1/reports.json", **asked).status_code == 200
    assert get(sim, "retreaver", "/api/v1/reports.json", **{**asked, **wrong}).status_code == 400


# ── Convoso ──


def test_what_convoso_lets_be_written(start: Start) -> None:
    sim = start(records=20)
    call = sim.world.calls("convoso")[3]
    extra = {"call_log_id": call.id, "extra_field_01": "a", "extra_field_02": "b"}
    answer = send(sim, "convoso", "POST", "/log/update", data=extra)
    assert answer.json() == {"success": True, "data": {"call_log_id": call.id}}
    assert call.tags == {"extra_field_01": "a", "extra_field_02": "b"}
    for _ in range(2):
        get(sim, "convoso", "/revenue/update", call_log_id=call.id, revenue="150.50")
    assert call.revenue == Decimal("150.50")
    assert writes(sim, "convoso") == {"call.updated": 3, "revenue.set": 2}


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/revenue/update", {"revenue": "1"}, 6032),
        ("/revenue/update", {"call_log_id": "0", "revenue": "1"}, 6033),
        ("/revenue/update", {}, 6036),
        ("/log/update", {"extra_field_03": "x"}, 6036),
        ("/revenue/update", {"revenue": "much"}, 400),
    ],
)
def test_what_convoso_refuses_comes_as_status_200(start: Start, path: str, fields: dict[str, str], code: int) -> None:
    sim = start(records=5)
    there = {"call_log_id": sim.world.calls("convoso")[0].id} if code in (6036, 400) else {}
    answer = get(sim, "convoso", path, **there, **fields)
    assert (answer.status_code, answer.json()["success"], answer.json()["code"]) == (200, False, code)
    assert not writes(sim, "convoso")


def test_campaigns_of_convoso_are_those_of_its_calls(start: Start) -> None:
    sim = start(records=100)
    campaigns = get(sim, "convoso", "/campaigns/search").json()["data"]
    rows = records("convoso", get(sim, "convoso", "/log/retrieve", start_time="2000-01-01 00:00:00", limit=500))
    assert {(row["campaign_id"], row["campaign"]) for row in rows} == {(str(c["id"]), c["name"]) for c in campaigns}
    assert {campaign["status"] for campaign in campaigns} == {"Y"}
