"""What is odd about Convoso."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from calltrack.client.answer import Answer
from calltrack.client.windows import Window
from calltrack.errors import CredentialsRefused, NotACall, RejectRecord, SliceTooLarge
from calltrack.mapping import Context
from calltrack.model import Direction, Finality, Status
from calltrack.providers.convoso import PROVIDER

NEW_YORK = Context({"timezone": "America/New_York"})
DAY = Window(datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 3, 2, 5, tzinfo=UTC))
ENDED = {"id": "1", "call_date": "2026-03-01 09:00:00", "call_length": "95", "term_reason": "AGENT", "status": "SALE"}


def read(context=NEW_YORK, **fields):
    return PROVIDER.map_call(ENDED | fields, context)


def notice(event="", **fields):
    return PROVIDER.webhook.map_delivery({"call_log_id": "1", **fields}, event, NEW_YORK)


def test_the_log_is_asked_for_in_local_time():
    calls = PROVIDER.calls({})
    assert calls.path == "/log/retrieve"
    assert calls.filter.params(DAY, NEW_YORK.zone) | calls.pages.params(calls.pages.first()) == {
        "start_time": "2026-02-28 23:59:59",
        "end_time": "2026-03-02 00:00:01",
        "order": "asc",
        "include_recordings": "1",
        "offset": 0,
        "limit": 500,
    }


def test_lead_recordings_are_asked_for_by_day():
    calls = PROVIDER.calls({"dialect": "recordings"})
    assert calls.path == "/lead/get-recordings"
    assert calls.filter.params(DAY, NEW_YORK.zone) | calls.pages.params(calls.pages.first()) == {
        "start_date": "2026-03-01",
        "end_date": "2026-03-01",
        "offset": 0,
        "limit": 100,
    }


def test_more_than_can_be_paged_through_is_cut_by_the_accounts_own_cap_too():
    full = Answer(200, {}, json.dumps({"success": True, "data": {"total_found": "40001", "results": []}}).encode())
    with pytest.raises(SliceTooLarge):
        PROVIDER.calls({}).pages.next({"offset": 0}, full, 500)
    assert PROVIDER.calls({"offset_cap": "50000"}).pages.next({"offset": 0}, full, 500) == {"offset": 500}


@pytest.mark.parametrize(("code", "error"), [(7231, SliceTooLarge), (401, CredentialsRefused)])
def test_errors_come_with_status_200(code, error):
    body = json.dumps({"success": False, "code": code, "text": "no"}).encode()
    with pytest.raises(error):
        PROVIDER.check(Answer(200, {}, body))


def test_an_empty_day_is_no_error():
    body = b'{"success": true, "data": {"total_found": "0", "entries": 0, "results": []}}'
    assert PROVIDER.calls({}).read(Answer(200, {}, body)) == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, Status.COMPLETED),
        ({"status": "NA", "call_length": "0", "term_reason": "NONE"}, Status.NO_ANSWER),
        ({"status": "B"}, Status.BUSY),
        ({"status": "AM"}, Status.VOICEMAIL),
        ({"status": "QX", "term_reason": "QUEUETIMEOUT"}, Status.NO_ANSWER),
        ({"status": "QX", "term_reason": "ABANDON"}, Status.CANCELED),
        ({"status": "QX", "term_reason": "NONE", "call_length": "12"}, Status.COMPLETED),
        ({"status": "QX", "term_reason": "NONE", "call_length": "0"}, Status.NO_ANSWER),
        ({"status": "INCALL", "term_reason": "NONE", "call_length": None}, Status.IN_PROGRESS),
        ({"status": "INCALL", "term_reason": "NONE", "call_length": "null"}, Status.IN_PROGRESS),
        ({"status": "QX", "term_reason": None, "call_length": None}, Status.UNKNOWN),
    ],
)
def test_status(fields, status):
    assert read(**fields).status is status


def test_a_live_call_has_no_end():
    live = read(status="INCALL", call_length=None, term_reason="NONE")
    assert (live.ended_at, live.duration_seconds, live.stage()) == (None, None, Finality.ANSWERED)
    assert "term_reason" not in (live.metadata or {})


def test_an_account_has_codes_of_its_own():
    own = Context({"timezone": "America/New_York", "statuses": "VM=voicemail, NA=failed"})
    assert read(own, status="VM").status is Status.VOICEMAIL
    assert read(own, status="NA").status is Status.FAILED
    assert read(status="VM").status is Status.COMPLETED


@pytest.mark.parametrize(
    ("said", "direction"),
    [
        ({"call_type": "INBOUND"}, Direction.INBOUND),
        ({"call_type": "OUTBOUND"}, Direction.OUTBOUND),
        ({"call_type": "MANUAL"}, Direction.OUTBOUND),
        ({"call_type": "3WAY"}, Direction.OUTBOUND),
        ({"direction": "inbound"}, Direction.INBOUND),
        ({"call_type": "null"}, Direction.OUTBOUND),
        ({"call_type": "FAX"}, Direction.UNKNOWN),
        ({}, Direction.OUTBOUND),
    ],
)
def test_direction(said, direction):
    assert read(**said).direction is direction


def test_a_notice_without_a_call_type_claims_no_side():
    silent = notice(phone_number="3035550001", caller_id="7205550109")
    assert (silent.direction, silent.caller_number, silent.destination_number) == (None, None, None)
    assert silent.primary_phone == "+13035550001"


def test_the_customer_is_on_either_side():
    numbers = {"phone_number": "3035550001", "number_dialed": "18335550101", "caller_id_displayed": "7205550109"}
    inbound, outbound = read(call_type="INBOUND", **numbers), read(call_type="OUTBOUND", **numbers)
    assert (inbound.caller_number, inbound.tracking_number) == ("+13035550001", "+18335550101")
    assert (outbound.caller_number, outbound.destination_number) == ("+17205550109", "+18335550101")
    assert inbound.primary_phone == outbound.primary_phone == "+13035550001"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"recording": [{"src": "https://a/1", "public_url": "https://b/1"}]}, "https://b/1"),
        ({"recording": [{"src": "https://a/1", "public_url": ""}]}, "https://a/1"),
        ({"recording": []}, None),
        ({"recording": "https://c/1"}, "https://c/1"),
        ({"recording": "null", "recording_url": "https://d/1"}, "https://d/1"),
    ],
)
def test_where_the_recording_is(fields, url):
    assert read(**fields).recording_url == url


def test_the_end_is_counted_in_real_time_across_a_change_of_clocks():
    record = read(call_date="2026-11-01 01:59:30", call_length="60")
    assert record.started_at == datetime(2026, 11, 1, 5, 59, 30, tzinfo=UTC)
    assert record.ended_at == datetime(2026, 11, 1, 6, 0, 30, tzinfo=UTC)


def test_leads_and_calls_have_doors_of_their_own():
    assert PROVIDER.webhook.paths == {"/api/webhooks/convoso": "", "/api/webhooks/convoso-leads": "lead"}


def test_a_leads_id_is_never_taken_for_a_calls():
    with pytest.raises(NotACall):
        PROVIDER.webhook.map_delivery({"id": "800055", "lead_id": "800055"}, "lead", NEW_YORK)
    with pytest.raises(RejectRecord):
        PROVIDER.webhook.map_delivery({"lead_id": "800055"}, "", NEW_YORK)
    assert PROVIDER.webhook.map_delivery({"id": "900001"}, "", NEW_YORK).external_id == "900001"


def test_an_event_speaks_where_the_notice_does_not():
    assert notice("call.completed").stage() is Finality.ENDED
    assert notice("call.completed", status="NA", length_in_sec="0").status is Status.NO_ANSWER
    assert notice("call.initiated").status is Status.INITIATED
    assert (notice("").status, notice("").stage()) == (None, Finality.NOT_STATED)
