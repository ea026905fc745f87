"""TrackDrive's `/calls/stats`: calls by what they have in common, counted or summed up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from simulator import trackdrive_records as records
from simulator.calls import Call

#: stat → what a call adds to it
STATS: dict[str, Callable[[Call], Decimal]] = {
    "count": lambda _: Decimal(1),
    "revenue": lambda call: call.revenue or Decimal(0),
    "profit": lambda call: (call.revenue or Decimal(0)) - (call.payout or Decimal(0)) - call.cost,
    "cost": lambda call: call.cost,
}


def stats(calls: Iterable[Call], params: Mapping[str, str], zone: ZoneInfo) -> dict[str, float]:
    """Group → number. Raises `ValueError` where the question is not one of those that there are."""
    group, stat = GROUPS.get(params.get("group_by", "")), STATS.get(params.get("stat", ""))
    if group is None or stat is None:
        raise ValueError(f"group_by must be one of {', '.join(GROUPS)}, and stat one of {', '.join(STATS)}.")
    sums: dict[str, Decimal] = {}
    for call in calls:
        name = group(call, zone)
        sums[name] = sums.get(name, Decimal(0)) + stat(call)
    return {name: float(total) for name, total in sums.items()}


def _local(call: Call, zone: ZoneInfo) -> datetime:
    return call.created_at.astimezone(zone)


def _five_minutes(call: Call, zone: ZoneInfo) -> str:
    local = _local(call, zone)
    return records.stamp(local.replace(minute=local.minute // 5 * 5, second=0, microsecond=0), zone)


def _week(call: Call, zone: ZoneInfo) -> str:
    day = _local(call, zone).date()
    return (day - timedelta(days=day.weekday())).isoformat()


#: group_by → the call's group
GROUPS: dict[str, Callable[[Call, ZoneInfo], str]] = {
    "buyer_converted": lambda call, _: records.converted(call),
    "offer_converted": lambda call, _: records.converted(call),
    "status": lambda *_: "finished",
    "created_at_five_minutes": _five_minutes,
    "created_at_day": lambda call, zone: _local(call, zone).date().isoformat(),
    "created_at_week": _week,
    "created_at_month": lambda call, zone: _local(call, zone).date().replace(day=1).isoformat(),
}
