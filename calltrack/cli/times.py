"""Times, as options take them."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

import click

from calltrack.mapping.times import moment


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601, UTC where it says nothing else."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        found = value if isinstance(value, datetime) else moment(value)
        if found is None:
            self.fail(
                f"{value!r} is no time: write it as 2026-03-01 or 2026-03-01T14:00:00Z (UTC by default).", param, ctx
            )
        return found


MOMENT = Moment()


class Span(click.ParamType[timedelta]):
    """A length of time: 90s, 15m, 6h, 1d."""

    name = "span"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6}) ?([smhd]?)", value.strip().lower())
        if match is None or (match[1] != "0" and not match[2]):
            self.fail(f"{value!r} is no length of time: write it as 90s, 15m, 6h or 1d.", param, ctx)
        return int(match[1]) * UNITS[match[2] or "s"]


UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


class Clock(click.ParamType[time]):
    """A time of day, UTC: 02:00."""

    name = "clock"

    def convert(self, value: str | time, param: click.Parameter | None, ctx: click.Context | None) -> time:
        if isinstance(value, time):
            return value
        if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", value):
            self.fail(f"{value!r} is no time of day: write it as 02:00 (UTC).", param, ctx)
        return time.fromisoformat(value.zfill(5))


SPAN, CLOCK = Span(), Clock()
