"""What is odd about TrackDrive."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calltrack.accounts import manage
from calltrack.client.answer import Answer
from calltrack.client.windows import Window
from calltrack.errors import (
    CredentialsRefused,
    EndlessPages,
    NotACall,
    NotThere,
    ProviderFailed,
    RejectRecord,
    RequestRefused,
    TooManyRequests,
    UnreadableAnswer,
)
from calltrack.mapping import Context
from calltrack.model import Direction, Finality, Status
from calltrack.operations import Figures
from calltrack.providers.trackdrive import PROVIDER

DAY = Window(datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 3, 2, 5, 0, 0, 700_000, tzinfo=UTC))
CALL = {"uuid": "c-1", "id": 1001, "status": "finished", "updated_at": "2026-03-01T09:03:48.120-05:00"}
OPERATIONS = PROVIDER.operations


def read(**fields):
    return PROVIDER.map_call(CALL | fields, Context())


def notice(event="", settings=None, **fields):
    return PROVIDER.webhook.map_delivery({"uuid": "c-1", **fields}, event, Context(settings or {}))


def answered(body, status=200):
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


# ── asking ──


def test_a_range_is_asked_for_in_utc_oldest_first_by_cursor():
    calls = PROVIDER.calls({})
    request = calls.page(calls.pages.first(), DAY, Context().zone)
    assert (request.method, request.path, request.json) == ("GET", "/calls", None)
    assert request.params == {
        "created_at_from": "2026-03-01 04:59:59 +0000",
        "created_at_to": "2026-03-02 05:00:01 +0000",
        "time_zone": "UTC",
        "order": "created_at",
        "order_dir": "asc",
        "cursor": "-1",
        "per_page": 100,
    }


def page(next_cursor: str) -> Answer:
    return answered(b'{"calls": [], "metadata": {"total_count": 240, "next_cursor": %s}}' % next_cursor.encode())


NUMBERS = st.one_of(
    st.integers(1, 10**40).map(str),
    st.from_regex(r"[1-9]\.[0-9]{1,25}[eE][+-]?[1-9][0-9]?", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{0,20}\.[0-9]{1,20}", fullmatch=True),
    st.just("-7"),
)


@given(number=NUMBERS)
def test_the_cursor_is_sent_back_digit_by_digit(number):
    pages = PROVIDER.calls({}).pages
    for written in (number, f'"{number}"'):
        following = pages.next(pages.first(), page(written), 100)
        assert following == {"cursor": number}
        assert json.loads(json.dumps(following)) == following  # it is kept in the database between two pages
        assert pages.params(following)["cursor"] == number


def test_a_cursor_that_a_float_would_change_is_not_changed():
    pages = PROVIDER.calls({}).pages
    assert repr(float("1.70000000000000123E+17")) != "1.70000000000000123E+17"
    assert pages.next(pages.first(), page("1.70000000000000123E+17"), 100) == {"cursor": "1.70000000000000123E+17"}


@pytest.mark.parametrize("end", ["0", '"0"'])
@pytest.mark.parametrize("count", [0, 3, 100])
def test_a_cursor_of_0_is_the_end_however_full_the_page(end, count):
    pages = PROVIDER.calls({}).pages
    assert pages.next({"cursor": "17"}, page(end), count) is None


def test_a_repeated_cursor_is_endless():
    pages = PROVIDER.calls({}).pages
    with pytest.raises(EndlessPages):
        pages.next({"cursor": "1.7E+17"}, page("1.7E+17"), 100)


@pytest.mark.parametrize("missing", ["null", "{}", "[]", "true", '""'])
def test_a_page_that_says_nothing_of_a_next_one_is_not_taken_for_the_last(missing):
    pages = PROVIDER.calls({}).pages
    with pytest.raises(UnreadableAnswer):
        pages.next({"cursor": "17"}, page(missing), 100)


def test_keys_are_shown_as_http_basic():
    headers, params = {}, {}
    PROVIDER.auth.apply({"public_key": "püb", "private_key": "p:riv"}, params, headers)
    scheme, _, pair = headers.pop("Authorization").partition(" ")
    assert (scheme, b64decode(pair).decode(), params, headers) == ("Basic", "püb:p:riv", {}, {})


# ── the tenant ──


def test_the_subdomain_is_a_part_of_the_base():
    assert manage.base(PROVIDER, {"subdomain": " acme "}) == "https://acme.trackdrive.com/api/v1"
    assert manage.base(PROVIDER, {"subdomain": "evil.example/x"}) == "https://evil.example%2Fx.trackdrive.com/api/v1"


def test_the_base_follows_a_changed_subdomain_unless_somebody_chose_another():
    account = SimpleNamespace(api_url="https://acme.trackdrive.com/api/v1", settings={"subdomain": "acme"})
    follow = manage._base_after
    assert follow(PROVIDER, account, {"subdomain": "other"}) == "https://other.trackdrive.com/api/v1"
    assert follow(PROVIDER, account, {"subdomain": "acme"}) == account.api_url
    account.api_url = "http://127.0.0.1:9/trackdrive"
    assert follow(PROVIDER, account, {"subdomain": "other"}) == "http://127.0.0.1:9/trackdrive"


# ── verdicts in the body ──


@pytest.mark.parametrize(
    "body",
    [
        {"status": 200, "errors": {}, "call": CALL, "metadata": {"root": "call"}},
        {"status": 201, "errors": [], "subscription": {"id": 1}},
        {"calls": [], "metadata": {"total_count": 0, "next_cursor": 0}},
        {"status": "finished", "uuid": "c-1"},
        {"status": True},
        [],
        b"<html>",
    ],
)
def test_what_does_not_say_failed_passes(body):
    PROVIDER.check(answered(body))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"status": 422, "errors": {"revenue": ["is not a number"]}}, RequestRefused),
        ({"status": 401, "errors": {"base": ["These keys are not valid."]}}, CredentialsRefused),
        ({"status": 404, "errors": {}}, NotThere),
        ({"status": 429, "errors": {}}, TooManyRequests),
        ({"status": 500, "errors": {}}, ProviderFailed),
        ({"status": 200, "errors": {"payout": ["may not be s3cret"]}}, RequestRefused),
    ],
)
def test_the_body_may_know_better_than_the_status(body, error):
    with pytest.raises(error) as raised:
        PROVIDER.check(answered(body))
    assert type(raised.value) is error
    assert "s3cret" not in str(raised.value)


# ── calls ──


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("finished", Status.COMPLETED),
        ("in_progress", Status.IN_PROGRESS),
        ("in-progress", Status.IN_PROGRESS),
        ("Ringing", Status.RINGING),
        ("rejected", Status.FAILED),
        ("quarantined", Status.UNKNOWN),
        ("", None),
        (None, None),
        ({"name": "finished"}, Status.UNKNOWN),
    ],
)
def test_status_words(word, status):
    assert read(status=word).status is status


def test_an_unknown_status_does_not_keep_a_call_from_being_over():
    assert read(status="quarantined").stage() is Finality.NOT_STATED
    assert read(status="quarantined", ended_at="2026-03-01T09:03:21-05:00").stage() is Finality.ENDED


@pytest.mark.parametrize(
    ("said", "converted"),
    [
        ("Converted", True),
        ("Not Converted", False),
        ("not converted", False),
        (True, True),
        ("", None),
        ("Maybe", None),
    ],
)
def test_conversion_comes_in_words(said, converted):
    assert read(buyer_converted=said).converted is converted


def test_blank_durations_are_missing():
    record = read(total_duration="", answered_duration="", hold_duration="", attempted_duration=None)
    assert (record.duration_seconds, record.talk_seconds, record.hold_seconds, record.ring_seconds) == (None,) * 4
    assert read(total_duration="120", answered_duration=0).duration_seconds == 120
    assert read(answered_duration=0).talk_seconds == 0


def test_times_carry_their_offset():
    record = read(created_at="2026-11-01T01:30:00.495-04:00", ended_at="2026-11-01T01:05:00.000-05:00")
    assert record.started_at == datetime(2026, 11, 1, 5, 30, 0, 495_000, tzinfo=UTC)
    assert record.ended_at == datetime(2026, 11, 1, 6, 5, tzinfo=UTC)
    assert record.provider_updated_at == datetime(2026, 3, 1, 14, 3, 48, 120_000, tzinfo=UTC)


def test_cost_is_the_carriers_and_trackdrives_together():
    assert read(provider_cost=0.1, trackdrive_cost=0.2).cost == Decimal("0.3")
    assert read(provider_cost="", trackdrive_cost=0.02).cost == Decimal("0.02")
    assert read(provider_cost="", trackdrive_cost=None).cost is None


def test_payout_is_what_the_call_says_or_else_what_the_traffic_source_gets():
    assert read(payout="10.10", traffic_source_payout=9).payout == Decimal("10.10")
    assert read(payout="", traffic_source_payout=9).payout == Decimal(9)


def test_what_is_blank_is_taken_back_and_what_is_missing_or_unreadable_is_not():
    assert read(revenue=None, payout="", buyer_converted="").emptied == {"revenue", "payout", "converted"}
    assert read(provider_cost="", trackdrive_cost=0.02).emptied == frozenset()
    assert read(revenue="n/a", buyer_converted="Maybe").emptied == frozenset()
    assert read().emptied == frozenset()


def test_the_key_is_the_uuid_and_never_the_number():
    with pytest.raises(RejectRecord):
        PROVIDER.map_call({"id": 1001}, Context())


def test_a_call_that_was_placed_says_so():
    assert read(category="outbound").direction is Direction.OUTBOUND
    assert read(category=None).direction is read().direction is Direction.INBOUND


def test_one_call_is_asked_for_by_its_uuid():
    calls = PROVIDER.calls({})
    request = calls.one.request({"id": "7d1de000-0000-4000-8000-000000000001"})
    assert (request.method, request.path) == ("GET", "/calls/7d1de000-0000-4000-8000-000000000001")
    assert calls.read_one(answered({"status": 200, "errors": {}, "call": CALL})) == [CALL]
    assert calls.read_one(answered(b"")) == []


# ── deliveries ──


@pytest.mark.parametrize(
    ("event", "status", "stage"),
    [
        ("new_call", Status.INITIATED, Finality.STARTED),
        ("call_ringing", Status.RINGING, Finality.STARTED),
        ("call_forwarded", Status.IN_PROGRESS, Finality.ANSWERED),
        ("call_ended", Status.COMPLETED, Finality.ENDED),
        ("call_changed", None, Finality.NOT_STATED),
        ("Call Ended", Status.COMPLETED, Finality.ENDED),
        ("buyer_answered", None, Finality.NOT_STATED),
        ("", None, Finality.NOT_STATED),
    ],
)
def test_events_of_subscriptions(event, status, stage):
    for record in (notice(event), notice(event, status="")):
        assert (record.status, record.stage(), record.complete) == (status, stage, False)


def test_what_the_call_says_goes_before_its_event():
    assert notice("new_call", status="finished").status is Status.COMPLETED
    assert notice("call_changed", ended_at="2026-03-01T09:03:21-05:00").stage() is Finality.ENDED


def test_a_whole_call_object_is_no_more_than_a_notice():
    delivery = {"event": "call_ended", "call": CALL | {"revenue": None, "buyer_converted": ""}}
    record = PROVIDER.webhook.map_delivery(delivery, "call_ended", Context())
    assert (record.external_id, record.complete, record.emptied) == ("c-1", False, frozenset())
    assert record.provider_updated_at is not None


@pytest.mark.parametrize("name", ["uuid", "call_uuid", "trackdrive_call_uuid"])
def test_ids_of_templates(name):
    tokens = {name: "c-9", "caller_id": "3035550001", "buyer_name": "Roofs"}
    record = PROVIDER.webhook.map_delivery(tokens, "", Context())
    assert (record.external_id, record.caller_number, record.buyer) == ("c-9", "+13035550001", "Roofs")
    with pytest.raises(RejectRecord, match="id"):
        PROVIDER.webhook.map_delivery({name: f"[{name}]"}, "", Context())


@pytest.mark.parametrize(
    "event", ["new_lead", "lead_ended", "lead_converted", "lead_opted_out", "lead_changed", "incoming_text_message"]
)
def test_the_uuid_of_a_lead_or_message_is_never_taken_for_a_calls(event):
    with pytest.raises(NotACall):
        notice(event)


def test_numbers_without_a_plus_are_read_in_the_accounts_region():
    assert notice(caller_id="020 7946 0018", settings={"region": "GB"}).caller_number == "+442079460018"


def test_deliveries_make_us_ask_and_prove_nothing():
    assert PROVIDER.webhook.asks
    assert {"event", "event_type"} <= set(PROVIDER.webhook.event_fields)


# ── what else the API offers ──


@pytest.mark.parametrize(
    ("field", "body", "repeatable"),
    [
        ("converted", {"buyer_converted": True}, True),
        ("revenue", {"revenue": True}, True),
        ("payout", {"payout": True}, True),
        ("add_revenue", {"add_revenue": True}, False),
        ("add_payout", {"add_payout": True}, False),
    ],
)
def test_changing_a_call(field, body, repeatable):
    request = OPERATIONS.update[field].request({"id": "c-1", "value": True})
    assert (request.method, request.path, request.json) == ("PUT", "/calls/c-1", body)
    assert request.repeatable is repeatable


def test_tags_are_tokens_that_are_set_after_the_call():
    request = OPERATIONS.update["tags"].request({"id": "c-1", "name": "zip", "value": "80014"})
    assert request.json == {"post_call_tokens": {"zip": "80014"}}


def test_subscriptions():
    listed = {"subscriptions": [{"id": 9001, "target_url": "https://x.example/", "event": "new_call"}]}
    things = OPERATIONS.webhooks.read(answered(listed))
    assert [(thing["id"], thing["url"], thing["event"]) for thing in things] == [
        ("9001", "https://x.example/", "new_call")
    ]
    asked = OPERATIONS.register.request({"url": "https://x.example/", "event": "call_ended"})
    assert (asked.method, asked.path, asked.repeatable) == ("POST", "/subscriptions", False)
    assert asked.json == {"target_url": "https://x.example/", "event": "call_ended"}
    told = answered({"status": 200, "errors": {}, "subscription": listed["subscriptions"][0]})
    assert OPERATIONS.webhooks.read(told, OPERATIONS.register.found)[0]["id"] == "9001"
    assert OPERATIONS.unregister.request({"id": "9001"}).path == "/subscriptions/9001"


def test_lists_are_read_page_by_page_even_where_the_size_is_not_theirs_to_say():
    assert OPERATIONS.webhooks.pages.params({"page": 1}) == {"page": 1, "per_page": 25}
    full = answered({"subscriptions": [], "metadata": {"root": "subscription"}})
    assert OPERATIONS.webhooks.pages.next({"page": 1}, full, 25) == {"page": 2}


def test_numbers_and_offers():
    number = {"id": 4_800_001, "number": "+18335550101", "name": "Line 1", "offer_id": 9104}
    (thing,) = OPERATIONS.numbers.read(answered({"phone_numbers": [number], "metadata": {"total_pages": 1}}))
    known = {"id": "4800001", "number": "+18335550101", "name": "Line 1", "campaign_id": "9104"}
    assert thing == {**known, "raw": number}
    asked = OPERATIONS.provision.request({"country": "US", "toll_free": False, "area_code": "303", "campaign": None})
    assert asked.json == {"country": "US", "toll_free": False, "area_code": "303"}
    assert not asked.repeatable
    assert OPERATIONS.campaign.request({"id": "9104"}).path == "/offers/9104"
    told = answered({"status": 200, "errors": {}, "offer": {"id": 9104, "name": "Solar West"}})
    (offer,) = OPERATIONS.campaigns.read(told, OPERATIONS.campaign.found)
    assert (offer["id"], offer["name"]) == ("9104", "Solar West")


def test_the_report_is_asked_for_figure_by_figure():
    asks = OPERATIONS.report.asks()
    request = asks["revenue"].request({"since": "2026-03-01 00:00:00 +0000", "until": "2026-03-03 00:00:00 +0000"})
    assert request.path == "/calls/stats"
    assert request.params == {
        "stat": "revenue",
        "group_by": "created_at_day",
        "created_at_from": "2026-03-01 00:00:00 +0000",
        "created_at_to": "2026-03-03 00:00:00 +0000",
        "time_zone": "UTC",
    }
    days = {"calls": {"2026-03-02": 2, "2026-03-01": 1}, "revenue": {"2026-03-02": 45.1}, "cost": {}}
    figures = OPERATIONS.report.figures({name: answered({"stats": stats}) for name, stats in days.items()})
    assert list(figures) == [
        Figures("2026-03-01", calls=1),
        Figures("2026-03-02", calls=2, revenue=Decimal("45.1")),
    ]
