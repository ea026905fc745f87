"""What Retreaver keeps beside the calls: its numbers, its campaigns, and the reports that it makes of the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from simulator.calls import CAMPAIGNS, Call, Party
from simulator.stamps import seconds

Json = dict[str, Any]

KINDS = {"Toll-free": "+1888555", "Local": "+1415555"}


def number(number_id: int, asked: Json, now: datetime) -> Json:
    """A phone number as it is bought: `type` is one of `KINDS`."""
    return {
        "id": number_id,
        "number": f"{KINDS[asked['type']]}{number_id % 10_000:04}",
        "toll_free": asked["type"] == "Toll-free",
        "updated_at": f"{seconds(now)}Z",
        "created_at": f"{seconds(now)}Z",
        "sid": asked.get("sid"),
        "afid": asked.get("afid"),
        "cid": asked.get("cid"),
        "uses_campaign_settings": True,
        "timers": [],
        "menu_options": [],
    }


def campaign(party: Party, now: datetime) -> Json:
    """The id that the customer gave is all that it is known by here: the internal one stands in calls only."""
    return {
        "cid": party.code,
        "name": party.name,
        "updated_at": f"{seconds(now)}Z",
        "created_at": f"{seconds(now)}Z",
        "record_calls": True,
        "record_seconds": 3600,
        "dedupe_seconds": 86400,
        "affiliate_can_pull_number": False,
        "timers": [],
        "menu_options": [],
    }


def find_campaign(path: str) -> Party | None:
    """By `cid/c01` or by its internal number."""
    return next((one for one in CAMPAIGNS if path in (f"cid/{one.code}", str(one.number))), None)


#: facet → what the calls of a row have in common
FACETS: dict[str, Callable[[Call], str]] = {
    "daily": lambda call: call.created_at.date().isoformat(),
    "campaign": lambda call: call.campaign.name,
    "publisher": lambda call: call.publisher.name if call.publisher else "",
    "buyer": lambda call: call.buyer.name if call.buyer else "",
    "number": lambda call: call.line,
}


def report(calls: Iterable[Call], facet: str) -> list[Json]:
    """A row per day, campaign, …, in their order."""
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(FACETS[facet](call), []).append(call)
    return [_row(name, groups[name]) for name in sorted(groups)]


def _row(name: str, calls: list[Call]) -> Json:
    revenue, payout, cost = (sum((getattr(call, what) or Decimal(0) for call in calls), Decimal(0)) for what in MONEY)
    return {
        "facet_name": name,
        "total_calls": len(calls),
        "connected_calls": sum(call.answered_at is not None for call in calls),
        "converted_count": sum(call.converted for call in calls),
        "revenue": float(revenue),
        "payout": float(payout),
        "cost": float(cost),
        "profit": float(revenue - payout - cost),
    }


MONEY = ("revenue", "payout", "cost")
