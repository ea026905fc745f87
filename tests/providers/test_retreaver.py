"""What is odd about Retreaver."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from calltrack.client.windows import Window
from calltrack.mapping import Context
from calltrack.model import Finality, Status
from calltrack.providers.retreaver import PROVIDER

MARCH = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
CALL = {"uuid": "c-1", "status": "finished", "updated_at": "2026-03-01T14:03:48Z"}


def read(**fields):
    return PROVIDER.map_call(CALL | fields, Context())


def notice(event="", settings=None, **fields):
    return PROVIDER.webhook.map_delivery({"call_uuid": "c-1", **fields}, event, Context(settings or {}))


def test_a_range_is_read_oldest_first():
    calls = PROVIDER.calls({})
    assert calls.path == "/api/v2/calls.json"
    assert calls.filter.params(MARCH, Context().zone) | calls.pages.params(calls.pages.first()) == {
        "created_at_start": "2026-02-28T23:59:59.999000Z",
        "created_at_end": "2026-04-01T00:00:00.000000Z",
        "sort_by": "created_at",
        "order": "asc",
        "page": 1,
        "per_page": 100,
    }


def test_changes_are_read_newest_first():
    changes = PROVIDER.calls({"dialect": "v4"}).changes
    assert changes.extra == {"sort_by": "updated_at", "order": "desc"}
    assert changes.changed in CALL


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("finished", Status.COMPLETED),
        ("in-progress", Status.IN_PROGRESS),
        ("In Progress", Status.IN_PROGRESS),
        ("initiated", Status.INITIATED),
        ("no-answer", Status.NO_ANSWER),
        ("quarantined", Status.UNKNOWN),
        ("", None),
        (None, None),
    ],
)
def test_status_words(word, status):
    assert read(status=word).status is status


def test_a_null_or_blank_amount_is_withdrawn_and_a_missing_or_unreadable_one_is_not():
    assert read(revenue=None, payout=None, total_cost=None).emptied == {"revenue", "payout", "cost"}
    assert read(revenue="", payout="").emptied == {"revenue", "payout"}
    assert read(revenue="n/a", payout="[payout]", charge_total="0.08", total_cost=None).emptied == frozenset()
    assert read().emptied == frozenset()


def test_a_notice_withdraws_nothing():
    assert notice("completed", revenue=None, payout="null").emptied == frozenset()


def test_cost_is_the_total_or_else_the_charge():
    assert read(total_cost="0.12", charge_total="0.08").cost == Decimal("0.12")
    assert read(charge_total="0.08").cost == Decimal("0.08")


def test_a_call_that_reached_nobody_was_not_answered():
    forwarded = {"forwarded_time": "2026-03-01T14:00:11Z"}
    assert read(**forwarded).answered_at == datetime(2026, 3, 1, 14, 0, 11, tzinfo=UTC)
    assert read(**forwarded, connected=False).answered_at is None


def test_a_call_object_without_its_version_is_a_notice():
    delivery = {"call": {"uuid": "c-1", "status": "finished", "revenue": None}}
    record = PROVIDER.webhook.map_delivery(delivery, "", Context())
    assert (record.status, record.complete, record.emptied) == (Status.COMPLETED, False, frozenset())


@pytest.mark.parametrize(
    ("event", "fields", "status", "stage"),
    [
        ("initiated", {}, Status.INITIATED, Finality.STARTED),
        ("call.answered", {}, Status.IN_PROGRESS, Finality.ANSWERED),
        ("completed", {}, Status.COMPLETED, Finality.ENDED),
        ("converted", {}, None, Finality.ENDED),
        ("", {}, None, Finality.NOT_STATED),
        ("", {"hung_up_by": "caller"}, None, Finality.ENDED),
        ("", {"hung_up_by": "[hung_up_by]"}, None, Finality.NOT_STATED),
        ("", {"status": "finished"}, Status.COMPLETED, Finality.ENDED),
        ("initiated", {"status": "finished"}, Status.COMPLETED, Finality.ENDED),
        ("answered", {"status": "success"}, Status.IN_PROGRESS, Finality.ANSWERED),  # a tag of that name
    ],
)
def test_how_far_a_notice_says_the_call_was(event, fields, status, stage):
    record = notice(event, **fields)
    assert (record.status, record.stage(), record.complete) == (status, stage, False)


def test_converted_is_said_by_the_event_unless_the_notice_knows_better():
    assert notice("converted").converted is True
    assert notice("converted", converted="false").converted is False
    assert notice("completed").converted is None


def test_the_campaign_token_may_be_the_customers_own_id():
    assert notice(campaign_id="11").campaign_id == "11"
    assert notice(campaign_id="solar-west", settings={"campaign_token": "cid"}).campaign_id is None


def test_a_caller_and_the_called_number_go_by_several_names():
    record = notice(caller_id="+13035550001", called_number="+18335550100")
    assert (record.caller_number, record.tracking_number) == ("+13035550001", "+18335550100")


def test_numbers_without_a_plus_are_read_in_the_accounts_region():
    assert notice(nanp_caller_number="3035550001").caller_number == "+13035550001"
    assert notice(caller_number="020 7946 0018", settings={"region": "GB"}).caller_number == "+442079460018"
    assert notice(caller_number="3035550001", settings={"region": "none"}).caller_number == "3035550001"
