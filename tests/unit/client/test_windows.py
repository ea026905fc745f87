from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calltrack.client.windows import (
    TimeFilter,
    Window,
    local_days,
    local_seconds,
    rfc3339,
    rfc3339_seconds,
    spaced_seconds,
)
from calltrack.mapping import moment

NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kolkata", "UTC")]
)
#: New York, Lord Howe, and much of Europe with Troll set their clocks back on these
NIGHTS = [
    datetime(2026, 11, 1, 4, tzinfo=UTC),
    datetime(2026, 4, 4, 13, tzinfo=UTC),
    datetime(2026, 10, 24, 23, tzinfo=UTC),
]


def within(start: datetime, hours: int) -> st.SearchStrategy[datetime]:
    return st.integers(0, hours * 3600).map(lambda seconds: start + timedelta(seconds=seconds))


MOMENTS = st.one_of(within(datetime(2026, 1, 1, tzinfo=UTC), 8760), *(within(night, 5) for night in NIGHTS))


def window(since: str, until: str) -> Window:
    return Window(datetime.fromisoformat(since), datetime.fromisoformat(until))


def test_rfc3339_begins_a_little_early_so_that_it_does_not_matter_whether_the_bound_is_inside():
    asked = rfc3339(window("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z"), NEW_YORK)
    assert asked == ("2026-03-01T13:59:59.999000Z", "2026-03-01T15:00:00.000000Z")


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-03-01T14:00:00Z", "2026-03-01T15:00:00.5Z", ("2026-03-01 08:59:59", "2026-03-01 10:00:01")),
        # clocks go back at 06:00 UTC: 01:30 to 01:10 on the clock
        ("2026-11-01T05:30:00Z", "2026-11-01T06:10:00Z", ("2026-11-01 00:29:59", "2026-11-01 02:10:01")),
        # clocks go forward at 07:00 UTC
        ("2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", ("2026-03-08 01:29:59", "2026-03-08 03:30:01")),
    ],
)
def test_local_seconds(since, until, expected):
    assert local_seconds(window(since, until), NEW_YORK) == expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z", ("2026-03-01", "2026-03-01")),  # one whole day
        ("2026-03-01T04:59:59Z", "2026-03-02T05:00:01Z", ("2026-02-28", "2026-03-02")),
    ],
)
def test_local_days(since, until, expected):
    assert local_days(window(since, until), NEW_YORK) == expected


@settings(deadline=None)
@given(call=MOMENTS, before=st.integers(0, 10**5), after=st.integers(1, 10**5), zone=ZONES)
def test_a_call_is_inside_the_range_that_is_asked_for_whatever_its_clock_says(call, before, after, zone):
    range_ = Window(call - timedelta(seconds=before), call + timedelta(seconds=after))
    label = f"{call.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    since, until = local_seconds(range_, zone)
    assert since < label < until
    since, until = local_days(range_, zone)
    assert since <= label[:10] <= until
    since, until = rfc3339(range_, zone)
    assert since < f"{call:%Y-%m-%dT%H:%M:%S.%fZ}" < until


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z", ("2026-03-01 13:59:59", "2026-03-01 15:00:01")),
        ("2026-03-01T14:00:00.999999Z", "2026-03-01T15:00:00.000001Z", ("2026-03-01 13:59:59", "2026-03-01 15:00:01")),
        ("2026-03-01T09:00:00-05:00", "2026-03-02T00:00:00+05:30", ("2026-03-01 13:59:59", "2026-03-01 18:30:01")),
        ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", ("2025-12-31 23:59:59", "2027-01-01 00:00:01")),
    ],
)
def test_whole_seconds_in_utc_whatever_the_zone(since, until, expected):
    for zone in (NEW_YORK, ZoneInfo("UTC")):
        assert spaced_seconds(window(since, until), zone) == tuple(f"{text} +0000" for text in expected)
        assert rfc3339_seconds(window(since, until), zone) == tuple(f"{text}Z".replace(" ", "T") for text in expected)


FRACTIONS = st.integers(0, 999_999).map(lambda microseconds: timedelta(microseconds=microseconds))


@settings(deadline=None)
@given(call=MOMENTS, fraction=FRACTIONS, before=st.integers(0, 10**5), after=st.integers(1, 10**9), zone=ZONES)
def test_whole_seconds_cover_the_window_and_hardly_more(call, fraction, before, after, zone):
    call += fraction
    range_ = Window(call - timedelta(microseconds=before), call + timedelta(microseconds=after))
    for bounds in (spaced_seconds, rfc3339_seconds):
        since, until = (moment(text) for text in bounds(range_, zone))
        # strictly: whether the bounds themselves, or the fraction of the last second, are inside does not matter
        assert since < range_.since
        assert range_.until < until
        assert until - since <= range_.until - range_.since + timedelta(seconds=4)


@settings(deadline=None)
@given(since=MOMENTS, seconds=st.integers(1, 10**6), zone=ZONES)
def test_a_range_is_never_asked_for_backwards_and_hardly_wider_than_needed(since, seconds, zone):
    texts = local_seconds(Window(since, since + timedelta(seconds=seconds)), zone)
    asked = [datetime.fromisoformat(text) for text in texts]
    assert asked[0] < asked[1] <= asked[0] + timedelta(seconds=seconds + 3, hours=6)


def test_a_filter_fixes_the_order_too():
    time_filter = TimeFilter("from", "to", local_days, extra={"order": "asc"})
    params = time_filter.params(window("2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z"), NEW_YORK)
    assert params == {"from": "2026-03-01", "to": "2026-03-01", "order": "asc"}
