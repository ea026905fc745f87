from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calltrack.mapping import epoch_ms, moment

#: with digits of other scripts, blanks of all kinds, NUL and what lies beyond 16 bits. Not all of Unicode: making
#: up its tables takes longer than all other tests
TEXT = st.text("aZ09 .,:+-[]'\"\t\n\x00é٣\u00a0\u2028\u200b\u0663½²中😀", max_size=9)

NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.sampled_from(
    [
        UTC,
        *map(
            ZoneInfo,
            ["America/New_York", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kolkata", "Antarctica/Troll"],
        ),
    ]
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T14:00:00Z", "14:00:00"),
        ("2026-03-01T14:00:00.120Z", "14:00:00.120000"),
        ("2026-03-01T14:00:00.123456789Z", "14:00:00.123456"),
        ("2026-03-01T14:00:00.5Z", "14:00:00.500000"),
        ("2026-03-01T09:00:00-05:00", "14:00:00"),
        ("2026-03-01T09:00:00.495-0500", "14:00:00.495000"),
        ("2026-03-01 14:00:00 UTC", "14:00:00"),
        ("2026-03-01 09:00:00 -0500", "14:00:00"),
        ("2026-03-01 14:00:00", "14:00:00"),
        (" 2026-03-01T14:00Z ", "14:00:00"),
        ("20260301T140000Z", "14:00:00"),
    ],
)
def test_iso_text_in_all_its_forms(value, expected):
    assert moment(value) == datetime.fromisoformat(f"2026-03-01T{expected}+00:00")
    assert moment(value).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        None, "", "null", "[call_start_time]", "yesterday", "0000-00-00 00:00:00", "2026-02-30T00:00:00Z",
        "2026-03-01T25:00:00Z", "1772373600", "1770112800000", 1772373600, 1.5, True, [], {},
        "0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_none(value):
    assert moment(value) is None


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2026-03-01 09:00:00", "2026-03-01T14:00:00Z"),
        ("2026-07-01 09:00:00", "2026-07-01T13:00:00Z"),
        ("2026-11-01 01:30:00", "2026-11-01T05:30:00Z"),  # twice on that day: the first reading
        ("2026-11-01 02:00:00", "2026-11-01T07:00:00Z"),
        ("2026-03-08 02:30:00", "2026-03-08T07:30:00Z"),  # never on that day: half an hour after the gap
        ("2026-03-01T09:00:00.250", "2026-03-01T14:00:00.250Z"),
        ("2026-03-01T14:00:00Z", "2026-03-01T14:00:00Z"),  # an offset of its own wins over the zone
        ("2026-03-01", "2026-03-01T05:00:00Z"),
    ],
)
def test_local_time(wall, utc):
    assert moment(wall, NEW_YORK) == datetime.fromisoformat(utc)


@settings(deadline=None)
@given(st.datetimes(), ZONES)
def test_local_time_is_what_the_zone_says(wall, zone):
    wall = wall.replace(year=1950 + wall.year % 150, day=min(wall.day, 28))
    assert moment(wall.isoformat(), zone) == wall.replace(tzinfo=zone).astimezone(UTC)


@settings(deadline=None)
@given(TEXT | st.text("0123456789-:.TZ+ ", max_size=32), ZONES)
def test_no_text_breaks_it(value, zone):
    assert (moment(value, zone) or datetime.now(UTC)).tzinfo is UTC


@pytest.mark.parametrize("value", [1772373600123, "1772373600123", 1772373600123.0])
def test_epoch_milliseconds(value):
    assert epoch_ms(value) == datetime(2026, 3, 1, 14, 0, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", 0, "0", -1, "soon", "2026-03-01", 10**20, float("inf"), True, []])
def test_what_is_no_epoch_is_none(value):
    assert epoch_ms(value) is None
