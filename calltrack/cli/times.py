"""Times, as options take them."""

from __future__ import annotations

from datetime import datetime

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
