"""When the calls of a provider happen: spread evenly, or crowded where it hurts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from simulator.calls import Call
from simulator.chance import fraction

HOUR = timedelta(hours=1)
#: how far before and after the clocks go back the crowded calls begin
AROUND = timedelta(minutes=90)

MOMENTS = ("created_at", "started_at", "answered_at", "ended_at", "updated_at")


@dataclass(frozen=True)
class Shape:
    """How the even spread is spoilt; all 0: not at all."""

    #: so many calls in a row share one time of creation and one of change
    plateau: int = 0
    #: share of the calls that lie around the last hour that came twice
    dst: float = 0.0
    #: seconds that the provider's clock is ahead, and with it all that it ever noted
    skew: float = 0.0


def reshape(calls: list[Call], shape: Shape, seed: int, now: datetime, zone: ZoneInfo) -> None:
    """Move the calls, and leave them oldest first."""
    back = clocks_went_back(now, zone) if shape.dst else None
    for call in calls:
        if back and fraction(seed, "dst", call.id) < shape.dst:
            begin = back - AROUND + timedelta(seconds=int(2 * AROUND.total_seconds() * fraction(seed, "spot", call.id)))
            _move(call, begin - call.started_at.replace(microsecond=0))
    calls.sort(key=lambda call: call.created_at)
    for crowd in _crowds(calls, shape.plateau):
        _level(crowd)
    if shape.skew:
        for call in calls:
            _move(call, timedelta(seconds=shape.skew))


def clocks_went_back(now: datetime, zone: ZoneInfo) -> datetime | None:
    """The last moment, two hours before now or earlier, at which the zone's clocks did so; None: not in two years."""
    full = now.replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    return next((full - n * HOUR for n in range(2 * 366 * 24) if _went_back(full - n * HOUR, zone)), None)


def _went_back(moment: datetime, zone: ZoneInfo) -> bool:
    before, after = (moment - timedelta(seconds=1)).astimezone(zone).utcoffset(), moment.astimezone(zone).utcoffset()
    return before is not None and after is not None and after < before


def _crowds(calls: list[Call], size: int) -> Iterator[list[Call]]:
    for first in range(0, len(calls) if size else 0, size or 1):
        yield calls[first : first + size]


def _level(crowd: list[Call]) -> None:
    """All begin with the last one of them, and have changed when the last of them did."""
    created = crowd[-1].created_at
    for call in crowd:
        _move(call, created - call.created_at)
    changed = max(call.updated_at for call in crowd)
    for call in crowd:
        call.updated_at = changed


def _move(call: Call, by: timedelta) -> None:
    for name in MOMENTS:
        moment = getattr(call, name)
        if moment is not None:
            setattr(call, name, moment + by)
