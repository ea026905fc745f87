"""Moments: every one leaves here as aware UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from calltrack.mapping.text import text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WALL_EPOCH = _EPOCH.replace(tzinfo=None)
#: `2026-03-01 14:00:00 UTC`, `2026-03-01 09:00:00 -0500`
_LOOSE = re.compile(r"(.{10}[T ].+?) ?(UTC|GMT|[+-]\d\d:?\d\d)").fullmatch


def moment(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """A moment from ISO 8601 text, with any fraction of a second. Text without an offset is read in `zone`.

    Local time is ambiguous for an hour when clocks go back: the first of the two readings is taken. A time that is
    skipped when clocks go forward is read with the offset before the change, which moves it forward by the gap.
    """
    if value.__class__ is not str or value.isdecimal():  # digits alone are an epoch rather than a date
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return _loosely(value, zone)
    return found if found.tzinfo is UTC else _utc(found, zone)


def _utc(found: datetime, zone: tzinfo) -> datetime | None:
    try:
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        # What found.replace(tzinfo=zone).astimezone(UTC) gives, in a fraction of its time.
        return _EPOCH + (found - _WALL_EPOCH - (zone.utcoffset(found) or timedelta()))
    except OverflowError:
        return None


def _loosely(value: str, zone: tzinfo) -> datetime | None:
    trimmed = text(value) or ""
    loose = _LOOSE(trimmed)
    if loose is not None:
        trimmed = loose[1] + ("Z" if loose[2] in ("UTC", "GMT") else loose[2])
    try:
        return _utc(datetime.fromisoformat(trimmed), zone)
    except ValueError:
        return None


def epoch_ms(value: Any, zone: tzinfo = UTC) -> datetime | None:  # noqa: ARG001 - a form that it shares with `moment`
    """A moment from milliseconds since 1970, as a number or its text, whatever the zone. 0 and before: `None`."""
    try:
        milliseconds = int(text(value) or 0)
        return _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds > 0 else None
    except (ValueError, OverflowError):
        return None
