"""What is odd about Ringba, and what it published: every sample there is, byte for byte in its fixtures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calltrack.accounts.forms import settings_of
from calltrack.client import statuses
from calltrack.client.answer import Answer
from calltrack.client.windows import Window
from calltrack.errors import (
    CredentialsRefused,
    ProviderFailed,
    RejectRecord,
    RequestRefused,
    SliceTooLarge,
    TooManyRequests,
    UnreadableAnswer,
)
from calltrack.mapping import Context
from calltrack.model import Finality, Observation, Source, Status
from calltrack.operations import Figures
from calltrack.providers import ringba
from calltrack.providers.ringba import PROVIDER, mapping
from calltrack.signatures import Message
from calltrack.sync import merge

BASIC, COLUMNS = mapping.BASIC.split(), mapping.COLUMNS.split()
FIXTURES = Path(ringba.__file__).parent / "fixtures"
ACCOUNT = {"account_id": "RA77"}
DAY = Window(datetime(2026, 3, 1, 5, 0, 0, 400_000, tzinfo=UTC), datetime(2026, 3, 2, 5, 0, 0, 400_000, tzinfo=UTC))
CALL = {"inboundCallId": "RGB1", "callDt": 1772373600000, "hasConnected": True, "isLive": False}
OPERATIONS = PROVIDER.operations


def read(**fields):
    return PROVIDER.map_call(CALL | fields, Context())


def notice(event="", settings=None, **fields):
    return PROVIDER.webhook.map_delivery({"inboundCallId": "RGB1", **fields}, event, Context(settings or {}))


def answered(body, status=200):
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def published(name: str) -> Answer:
    return Answer(200, {}, (FIXTURES / "published" / f"{name}.json").read_bytes())


def page(**report) -> Answer:
    return answered({"isSuccessful": True, "report": {"partialResult": False, "records": [], **report}})


# ── asking ──


def test_a_range_is_asked_for_in_a_body_oldest_first_in_whole_seconds_that_cover_it():
    calls = PROVIDER.calls(ACCOUNT)
    request = calls.page({"offset": 3000}, DAY, Context().zone)
    assert (request.method, request.path, request.params) == ("POST", "/RA77/calllogs", {})
    assert request.json == {
        "reportStart": "2026-03-01T04:59:59Z",
        "reportEnd": "2026-03-02T05:00:01Z",
        "orderByColumns": [{"column": "callDt", "direction": "asc"}],
        "valueColumns": [{"column": column} for column in COLUMNS],
        "offset": 3000,
        "size": 1000,
    }


def test_a_dialect_asks_for_the_published_columns_only():
    request = PROVIDER.calls(ACCOUNT | {"dialect": "basic"}).page({"offset": 0}, DAY, Context().zone)
    assert request.json["valueColumns"] == [{"column": column} for column in BASIC]


def test_a_slice_ends_where_the_total_is_reached():
    pages = PROVIDER.calls(ACCOUNT).pages
    assert pages.next({"offset": 0}, page(totalCount=1001), 1000) == {"offset": 1000}
    assert pages.next({"offset": 1000}, page(totalCount=1001), 1) is None
    assert pages.next({"offset": 0}, page(), 1000) == {"offset": 1000}
    assert pages.next({"offset": 1000}, page(), 999) is None


def test_an_empty_range_is_no_error():
    assert PROVIDER.calls(ACCOUNT).read(page(totalCount=0)) == []


def test_one_call_is_asked_for_by_its_id():
    calls = PROVIDER.calls(ACCOUNT)
    request = calls.one.request(ACCOUNT | {"id": "v2/1"})
    assert (request.method, request.path) == ("POST", "/RA77/calllogs/detail")
    assert request.json == {"InboundCallIds": ["v2/1"]}
    assert calls.read_one(page()) == []


def test_the_token_is_shown_with_its_scheme():
    headers, params = {}, {}
    PROVIDER.auth.apply({"api_token": "s3cret"}, params, headers)
    assert (headers, params) == ({"Authorization": "Token s3cret"}, {})


def test_two_limits_at_once_and_ranges_no_longer_than_the_account_says():
    assert set(PROVIDER.rate_limits) == {"5/second", "80/minute"}
    assert "longest_range" in {setting.name for setting in settings_of(PROVIDER)}


# ── verdicts in the body ──


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"isSuccessful": True, "report": {"partialResult": True, "records": [CALL]}}, SliceTooLarge),
        ({"isRateLimited": True, "exceedingRateLimit": "Minute", "rateLimit": {"perMinute": {}}}, TooManyRequests),
        ({"isSuccessful": False, "isRateLimited": True, "message": "Invalid"}, TooManyRequests),
        ({"isSuccessful": False, "message": "Bad column"}, RequestRefused),
        ({"isSuccessful": False, "message": "The token s3cret is unknown"}, CredentialsRefused),
        ({"isSuccessful": False, "message": "internal error"}, ProviderFailed),
    ],
)
def test_errors_come_with_status_200(body, error):
    with pytest.raises(error) as raised:
        PROVIDER.check(answered(body))
    assert type(raised.value) is error
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        {"isSuccessful": True, "report": {"partialResult": False}},
        {"isRateLimited": False, "report": {"partialResult": None}},
        {"transactionId": "TR1", "numbers": []},
        [],
    ],
)
def test_what_does_not_say_failed_passes(body):
    PROVIDER.check(answered(body))


# ── what is published ──


@pytest.mark.parametrize(
    "name", ["calllogs_columns", "calllogs_detail", "calllogs_three_columns", "numbers", "numbers_create", "campaigns"]
)
def test_no_published_answer_is_taken_for_an_error(name):
    PROVIDER.check(published(name))


def test_every_column_that_is_asked_for_is_a_published_one():
    known = {column["id"] for column in published("calllogs_columns").json["columns"]}
    assert set(COLUMNS) <= known
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_the_basic_columns_are_those_that_the_published_page_has():
    body = (FIXTURES / "pages" / "basic" / "1.http").read_bytes().partition(b"\n\n")[2]
    for record in PROVIDER.calls({"dialect": "basic"}).read(Answer(200, {}, body)):
        assert set(BASIC) <= record.keys()


def test_every_column_that_is_read_was_asked_for():
    """What is left out counts as empty: that must not be said of a column that nobody asked for."""
    asked = set()

    class Row(dict):
        def get(self, name, default=None):
            asked.add(name)
            return super().get(name, default)

        __getitem__ = get

        def __contains__(self, name):
            asked.add(name)
            return super().__contains__(name)

    PROVIDER.map_call(Row(CALL), Context())
    assert {"inboundCallId", "conversionAmount", "hasVoiceMail", "blockReason"} <= asked
    assert asked - {"call_id", "caller_id", "caller"} <= set(COLUMNS)  # but for what writers of pixels may say instead


def test_the_published_call_in_detail_is_the_one_of_the_page_and_keeps_what_nobody_maps():
    calls = PROVIDER.calls(ACCOUNT)
    (record,) = calls.read_one(published("calllogs_detail"))
    assert json.loads((FIXTURES / "calls" / "published_detail.json").read_text()) == record
    kept = PROVIDER.map_call(record, Context())
    assert {"CompletedCall", "PayoutCall"} <= {event["name"] for event in kept.raw["events"]}
    assert len(kept.raw["message-tags"]) == len(record["message-tags"]) > 30
    (first, *_) = json.loads((FIXTURES / "pages" / "basic" / "expected.json").read_text())
    assert kept.external_id == first["external_id"]
    assert (kept.cost, kept.revenue) == (Decimal("0.04"), Decimal(0))


def test_published_rows_without_an_id_are_rejected_and_not_lost():
    records = PROVIDER.calls(ACCOUNT).read(published("calllogs_three_columns"))
    assert len(records) == 4
    for record in records:
        with pytest.raises(RejectRecord) as refused:
            PROVIDER.map_call(record, Context())
        assert refused.value.reason == "no_id"


def test_published_numbers():
    found = OPERATIONS.numbers.read(published("numbers"))
    assert [(one["id"], one["number"], one["campaign_id"]) for one in found] == [
        ("PNZFWQO0", "+15552329575", None),
        ("1362385882509739900", "+15553775734", None),
    ]
    assert found[0]["raw"]["affiliate"]["name"] == "Example Publisher"


def test_a_published_purchase():
    (bought,) = OPERATIONS.numbers.read(published("numbers_create"), OPERATIONS.provision.found)
    assert (bought["id"], bought["number"]) == ("DZLUDOMY", "+15552113971")


def test_a_published_purchase_that_failed():
    """It comes with HTTP 500, so nobody knows: only the list of numbers tells, and it is never asked for again."""
    failed = Answer(500, {}, published("numbers_create_error_500").body)
    assert type(statuses.error_of(failed)) is ProviderFailed
    assert not OPERATIONS.provision.repeatable
    with pytest.raises(UnreadableAnswer):
        OPERATIONS.numbers.read(failed, OPERATIONS.provision.found)


def test_published_campaigns():
    found = OPERATIONS.campaigns.read(published("campaigns"))
    raw = json.loads(published("campaigns").body)["campaigns"]
    assert [(one["id"], one["name"]) for one in found] == [(each["id"], each["name"]) for each in raw]
    assert ("CA74c0b7f1f3824246b73e72a9238b4bfc", "API Test") in [(one["id"], one["name"]) for one in found]
    (single,) = OPERATIONS.campaigns.read(answered({"campaign": raw[0], "rtb": {}}), OPERATIONS.campaign.found)
    assert single["id"] == raw[0]["id"]


# ── calls ──


def test_times_are_milliseconds():
    record = read(callConnectionDt=1772373619840, callCompletedDt="1772373801658")
    assert record.started_at == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert record.answered_at == record.started_at + timedelta(milliseconds=19_840)
    assert record.ended_at == record.started_at + timedelta(milliseconds=201_658)


@pytest.mark.parametrize("nothing", ["", None, 0, "null"])
def test_blanks_are_missing(nothing):
    record = read(callConnectionDt=nothing, callCompletedDt=nothing, connectedCallLengthInSeconds="", targetName="")
    assert (record.answered_at, record.ended_at, record.talk_seconds, record.buyer) == (None, None, None, None)


@pytest.mark.parametrize(
    ("fields", "status", "stage"),
    [
        ({}, Status.COMPLETED, Finality.ENDED),
        ({"hasConnected": False}, Status.NO_ANSWER, Finality.ENDED),
        ({"hasConnected": False, "wasBlocked": True}, Status.FAILED, Finality.ENDED),
        ({"hasConnected": False, "hasVoiceMail": True}, Status.VOICEMAIL, Finality.ENDED),
        ({"hasConnected": None}, Status.UNKNOWN, Finality.NOT_STATED),
        ({"hasConnected": None, "callCompletedDt": 1772373801658}, Status.UNKNOWN, Finality.ENDED),
        ({"isLive": True}, Status.IN_PROGRESS, Finality.ANSWERED),
        ({"isLive": True, "hasConnected": False}, Status.RINGING, Finality.STARTED),
        # not final, whatever else it says
        ({"isLive": True, "callCompletedDt": 1772373801658}, Status.IN_PROGRESS, Finality.ANSWERED),
        ({"isLive": "true", "hasConnected": "no"}, Status.RINGING, Finality.STARTED),
    ],
)
def test_status_is_read_off_the_flags(fields, status, stage):
    record = read(**fields)
    assert (record.status, record.stage()) == (status, stage)


@given(amount=st.decimals(-1_000_000, 1_000_000, places=4))
def test_money_is_exact(amount):
    body = f'{{"report": {{"records": [{{"inboundCallId": "1", "conversionAmount": {amount}}}]}}}}'
    (record,) = PROVIDER.calls(ACCOUNT).read(Answer(200, {}, body.encode()))
    assert PROVIDER.map_call(record, Context()).revenue == amount


def test_an_amount_that_is_left_out_or_blank_is_withdrawn():
    assert read().emptied == {"revenue", "payout", "cost"}
    assert read(conversionAmount="", payoutAmount=0, totalCost=0.1).emptied == {"revenue"}
    assert read(conversionAmount=1, payoutAmount=0, telcoCost=0.1).emptied == frozenset()


def test_cost_is_the_total_or_else_the_carriers():
    assert read(totalCost=0.12, telcoCost=0.08).cost == Decimal("0.12")
    assert read(totalCost="", telcoCost=0.08).cost == Decimal("0.08")


def test_a_target_stands_for_the_buyer_where_there_is_none():
    target = {"targetId": "TA1", "targetName": "Desk"}
    assert (read(**target).buyer_id, read(**target).buyer) == ("TA1", "Desk")
    buyer = {**target, "buyerId": "BU1", "buyer": "Roofs"}
    assert (read(**buyer).buyer_id, read(**buyer).buyer) == ("BU1", "Roofs")


# ── pixels ──


@pytest.mark.parametrize(
    ("event", "status", "stage"),
    [
        ("Incoming", Status.INITIATED, Finality.STARTED),
        ("Connected", Status.IN_PROGRESS, Finality.ANSWERED),
        ("Completed", Status.COMPLETED, Finality.ENDED),
        ("Converted", None, Finality.ENDED),
        ("Payout", None, Finality.ENDED),
        ("Error", None, Finality.ENDED),
        ("Finalized", None, Finality.ENDED),
        ("Recording", None, Finality.ENDED),
        ("", None, Finality.NOT_STATED),
        ("Ring Tree Pinged", None, Finality.NOT_STATED),
    ],
)
def test_events_of_pixels(event, status, stage):
    record = notice(event)
    assert (record.status, record.stage(), record.complete, record.emptied) == (status, stage, False, frozenset())


def test_a_pixel_has_columns_of_the_call_log():
    record = notice("Payout", inboundPhoneNumber="3035550001", callLengthInSeconds="12", payoutAmount="", buyer="[x]")
    assert (record.caller_number, record.duration_seconds) == ("+13035550001", 12)
    assert (record.payout, record.buyer, record.emptied) == (None, None, frozenset())
    assert record.raw["payoutAmount"] == ""
    assert PROVIDER.webhook.asks


def test_what_a_pixel_says_of_money_and_conversion_reaches_no_row():
    """The secret that it shows proves who says it, and not what: the merge rule takes none of that."""
    shown = Message(b"", {"X-Calltrack-Secret": "s3cret"})
    assert PROVIDER.webhook.signature.verify(shown, ["s3cret"]) is False
    record = notice("Payout", conversionAmount="45.10", payoutAmount="30.5", totalCost="1", hasConverted="true")
    observed = Observation(UUID(int=1), "ringba", record, Source.UNVERIFIED_WEBHOOK, datetime.now(UTC), b"digest")
    assert not merge.said(observed).keys() & {"revenue", "payout", "cost", "converted"}


def test_the_call_and_its_caller_go_by_other_names_too():
    record = PROVIDER.webhook.map_delivery({"call_id": "RGB9", "caller_id": "3035550001"}, "", Context())
    assert (record.external_id, record.caller_number) == ("RGB9", "+13035550001")


@pytest.mark.parametrize("blank", ["", " ", "[Call:InboundCallId]", None])
def test_a_token_that_was_not_filled_in_names_no_call(blank):
    with pytest.raises(RejectRecord):
        notice("Completed", inboundCallId=blank)


def test_numbers_without_a_plus_are_read_in_the_accounts_region():
    assert notice(inboundPhoneNumber="020 7946 0018", settings={"region": "GB"}).caller_number == "+442079460018"


# ── what else the API offers ──


@pytest.mark.parametrize(
    ("field", "path", "what", "amount", "repeatable"),
    [
        ("revenue", "payments/override", "adjustConversion", "newConversionAmount", True),
        ("payout", "payments/override", "adjustPayout", "newPayoutAmount", True),
        ("add_revenue", "payments", "adjustConversion", "adjustConverionByAmount", False),
        ("add_payout", "payments", "adjustPayout", "adjustPayoutByAmount", False),
    ],
)
def test_adjusting_the_amounts_of_a_call(field, path, what, amount, repeatable):
    request = OPERATIONS.update[field].request(ACCOUNT | {"id": "RGB1", "value": Decimal("12.50")})
    assert (request.method, request.path, request.repeatable) == ("POST", f"/RA77/calls/{path}", repeatable)
    assert request.json.pop("reason")
    both = {"adjustConversion": False, "adjustPayout": False}
    assert request.json == {"inboundCallId": "RGB1", **both, what: True, amount: Decimal("12.50")}


def test_tags_are_annotations_one_by_one():
    request = OPERATIONS.update["tags"].request(ACCOUNT | {"id": "RGB1", "name": "zip", "value": "80014"})
    assert request.path == "/RA77/calls/annotate"
    tag = {"tagType": "Annotations", "tagName": "zip", "tagValue": "80014"}
    assert request.json == {"inboundCallId": "RGB1", "tags": [tag]}


def test_a_conversion_cannot_be_set_by_itself():
    assert "converted" not in OPERATIONS.update


def test_a_number_is_bought_only_with_what_the_account_has():
    request = OPERATIONS.provision.request(ACCOUNT | {"country": "US", "toll_free": True, "area_code": None})
    assert request.json == {"countryCode": "US", "isTollFree": True, "chargeAccountIfNeeded": False}
    assert OPERATIONS.release.request(ACCOUNT | {"id": "PN/1"}).path == "/RA77/numbers/PN%2F1"


def test_pixels_are_called_in_the_api_as_the_account_says():
    values = ACCOUNT | {"pixels": "pixels", "url": "https://x.example/?id=[Call:InboundCallId]", "event": "Finalized"}
    request = OPERATIONS.register.request(values)
    assert (request.path, request.repeatable) == ("/RA77/pixels", False)
    assert request.json == {"name": "calltrack", "pixelUrl": values["url"], "eventCode": "Finalized"}
    assert OPERATIONS.unregister.request(values | {"id": "7"}).path == "/RA77/pixels/7"


def test_the_report_has_a_line_per_campaign():
    report = OPERATIONS.report
    request = report.asks()[""].request(ACCOUNT | {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"})
    assert (request.method, request.path) == ("POST", "/RA77/insights")
    assert (request.json["reportStart"], request.json["reportEnd"]) == ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    assert request.json["groupByColumns"] == [{"column": "campaignName"}]
    asked = {each["column"] for each in request.json["valueColumns"]}
    row = {"campaignName": "API Test", **dict.fromkeys(asked, 3)}
    assert list(report.figures({"": page(records=[row])})) == [
        Figures("API Test", calls=3, converted=3, revenue=Decimal(3), payout=Decimal(3), cost=Decimal(3))
    ]
