"""The table of a mapping: what it reads from where, and what it must not say."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from calltrack import mapping as read
from calltrack.errors import RejectRecord
from calltrack.mapping import Context, Fields
from calltrack.model import Direction, Finality, Status

CONTEXT = Context({"timezone": "America/New_York", "region": "GB"})
NAMES = {
    "external_id": ("id", "call_id"),
    "status": "state",
    "direction": "way",
    "caller_number": "from",
    "campaign_id": ("campaign.id", "cid"),
    "recording_url": ("files.0.url", "file"),
    "started_at": "at",
    "duration_seconds": ("seconds", "length"),
    "revenue": "revenue",
    "converted": "sold",
}


def call(table=None, **raw):
    return (table or Fields(NAMES)).call({"id": "1", **raw}, CONTEXT)


def notice(table=None, event="", **raw):
    return (table or Fields(NAMES)).notice({"id": "1", **raw}, event, CONTEXT)


def test_each_field_is_read_as_what_it_is():
    record = call(at="2026-03-01 09:00:00", seconds="35", revenue="5.10", sold="yes", **{"from": "020 7946 0018"})
    assert record.started_at == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert (record.duration_seconds, record.revenue, record.converted) == (35, Decimal("5.1"), True)
    assert record.caller_number == "+442079460018"
    assert record.complete


def test_the_first_name_that_can_be_read_counts():
    assert call(seconds="", length=7).duration_seconds == 7
    assert call(seconds="soon", length=7).duration_seconds == 7
    assert call(seconds=3, length=7).duration_seconds == 3


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"campaign": {"id": 9}, "cid": 8}, "9"),
        ({"campaign": {"id": ""}, "cid": 8}, "8"),
        ({"campaign": "Solar", "cid": 8}, "8"),
        ({"campaign": None}, None),
        ({"campaign": [{"id": 1}]}, None),
    ],
)
def test_a_dotted_name_lies_deeper(raw, found):
    assert call(**raw).campaign_id == found


@pytest.mark.parametrize("files", [[], None, "x", {"0": 1}, [[]], [{"url": None}]])
def test_the_first_of_a_list(files):
    assert call(files=[{"url": "https://a"}, {"url": "https://b"}], file="https://c").recording_url == "https://a"
    assert call(files=files, file="https://c").recording_url == "https://c"


def test_an_unknown_word_is_unknown_and_none_is_nothing():
    assert call(state="warped", way="sideways").status is Status.UNKNOWN
    assert call(way="sideways").direction is Direction.UNKNOWN
    assert (call(state=" ", way="").status, call(state=" ", way="").direction) == (None, None)
    assert notice(state="warped").status is None


def test_the_event_tells_what_a_notice_does_not():
    told = notice(event="Call.Completed")
    assert (told.status, told.stage(), told.complete) == (Status.COMPLETED, Finality.ENDED, False)
    assert notice(event="completed", state="busy").status is Status.BUSY
    assert notice(event="converted").converted is True
    assert notice(event="converted", sold=False).converted is False
    assert notice(event="never heard of").status is None


def test_a_notice_under_a_key():
    assert Fields(NAMES).notice({"call": {"id": "7"}}, "", CONTEXT).external_id == "7"
    assert (
        Fields(NAMES, notice_id=("call_id", "id")).notice({"id": "lead", "call_id": "7"}, "", CONTEXT).external_id
        == "7"
    )


def test_a_delivery_with_the_whole_record_is_no_notice():
    table = Fields(NAMES, whole=("id", "updated"), withdrawn=("revenue",))
    whole = notice(table, updated="2026-03-01", revenue=None)
    assert (whole.complete, whole.emptied) == (True, {"revenue"})
    assert (notice(table, updated="", revenue=None).complete, notice(table, revenue=None).emptied) == (
        False,
        frozenset(),
    )


def test_what_is_taken_back():
    table = Fields(NAMES, withdrawn=("revenue",))
    assert (call(table, revenue=None).emptied, call(table, revenue="1").emptied, call(table).emptied) == (
        {"revenue"},
        set(),
        set(),
    )
    assert call(Fields(NAMES, withdrawn=("revenue",), left_out=True)).emptied == {"revenue"}


def test_what_is_odd_is_said_last():
    def also(record, context):
        record.disposition = f"{record.raw['id']} {context.region} {record.status}"

    assert call(Fields(NAMES, also=also), state="busy").disposition == "1 GB busy"


def test_the_record_is_not_changed():
    raw = {"id": "1", "campaign": {"id": 9}, "files": [{"url": "https://a"}]}
    before = {**raw}
    assert Fields(NAMES, metadata=("campaign",)).call(raw, CONTEXT).raw is raw
    assert raw == before


def test_other_moments():
    assert call(Fields(NAMES, moments=read.epoch_ms), at=1772373600000).started_at == datetime(
        2026, 3, 1, 14, tzinfo=UTC
    )


def test_no_id_is_a_reject():
    with pytest.raises(RejectRecord):
        Fields(NAMES).call({"state": "busy"}, CONTEXT)


@pytest.mark.parametrize("wrong", [{"names": {**NAMES, "campain_id": "x"}}, {"names": NAMES, "withdrawn": ("profit",)}])
def test_a_field_that_no_call_has_is_found_at_once(wrong):
    with pytest.raises(ValueError, match=r"A call has no (campain_id|profit)"):
        Fields(**wrong)
