"""Moments as text, by hand: each record has seven of them, and `isoformat` and `strftime` take three times as long."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache

TWO = [f"{number:02}" for number in range(60)]
THREE = [f"{number:03}" for number in range(1000)]


def seconds(moment: datetime, between: str = "T") -> str:
    """As in `2026-03-01T14:00:00`: what the moment's own clock shows."""
    return f"{_day(moment.toordinal())}{between}{TWO[moment.hour]}:{TWO[moment.minute]}:{TWO[moment.second]}"


def milliseconds(moment: datetime) -> str:
    """As in `2026-03-01T14:00:00.120Z`, of a moment in UTC."""
    return f"{seconds(moment)}.{THREE[moment.microsecond // 1000]}Z"


def with_offset(moment: datetime) -> str:
    """As in `2026-03-01T09:00:00.120-05:00`: what the moment's own clock shows, and how far that is from UTC."""
    return f"{seconds(moment)}.{THREE[moment.microsecond // 1000]}{_offset(moment.utcoffset() or timedelta())}"


@cache
def _offset(from_utc: timedelta) -> str:
    minutes = int(from_utc.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{TWO[abs(minutes) // 60]}:{TWO[abs(minutes) % 60]}"


@cache
def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()
