from __future__ import annotations

from typing import Any

import orjson
import pytest

from calltrack import checks
from calltrack.client.answer import Answer
from calltrack.client.pages import OffsetPages
from calltrack.client.windows import TimeFilter
from calltrack.errors import UnreadableAnswer
from calltrack.mapping import Context, unwrap
from calltrack.provider import Calls

CALLS = Calls(
    path="/calls",
    records="data.results",
    pages=OffsetPages(size=10, total_path="data.total"),
    filter=TimeFilter("from", "to"),
    wrapper="call",
)


def page(results: Any, total: int | None = None) -> Answer:
    return Answer(200, {}, orjson.dumps({"data": {"results": results, "total": total}}))


def test_records_are_read_out_of_their_wrapper():
    assert CALLS.read(page([{"call": {"id": 1}}, {"id": 2}])) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("results", [None, {}, [], ""])
def test_nothing_is_no_records_where_the_total_says_so_too(results):
    assert CALLS.read(page(results, total=0)) == []


@pytest.mark.parametrize(("results", "total"), [(None, None), ({}, None), (None, 3), ({"a": {}}, 0), ("none", 0)])
def test_no_list_is_no_page(results, total):
    with pytest.raises(UnreadableAnswer):
        CALLS.read(page(results, total))


def test_a_record_that_is_none_is_kept_to_be_rejected():
    assert CALLS.read(page(["hello", None])) == [{"unreadable": "hello"}, {"unreadable": None}]
    assert unwrap({"call": None}, "call") == {"call": None}


def test_the_zone_of_an_account():
    assert Context({"timezone": "America/New_York"}).zone.key == "America/New_York"
    assert Context().zone.key == "UTC"


@pytest.mark.parametrize("value", ["Mars", "", "America", "/etc/passwd", "../x", "america/new york", "EST5\x00"])
def test_what_is_no_time_zone(value):
    with pytest.raises(ValueError, match="is no time zone: write its IANA name"):
        checks.time_zone(value)


def test_checks_let_good_values_through():
    assert checks.time_zone("Europe/Berlin").key == "Europe/Berlin"
    assert checks.region("GB") == "GB"
    assert checks.region("none") == "none"
    assert checks.one_of("a", "b")("b") == "b"
    assert checks.between(1, 500)("500") == 500


@pytest.mark.parametrize("value", ["0", "501", "-1", "1.5", "", "²", "many"])
def test_a_number_outside_its_range(value):
    with pytest.raises(ValueError, match="write a whole number from 1 to 500"):
        checks.between(1, 500)(value)
