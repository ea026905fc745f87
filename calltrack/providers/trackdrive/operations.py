"""What TrackDrive's API offers besides giving calls."""

from __future__ import annotations

from collections.abc import Mapping

from calltrack.client.vocabulary import Ask, NumberedPages
from calltrack.operations import Columns, Operations, Resource, spaced

NUMBER = {
    "country": "{country}",
    "area_code": "{area_code}",
    "toll_free": "{toll_free}",
    "offer_id": "{campaign}",
    "traffic_source_id": "{publisher}",
}


def stat(name: str) -> Ask:
    """One figure of all calls, day by day."""
    asked = {"stat": name, "group_by": "created_at_day", "created_at_from": "{since}", "created_at_to": "{until}"}
    return Ask("GET", "/calls/stats", {**asked, "time_zone": "UTC"}, found="stats")


def changed(field: str, *, repeatable: bool = True) -> Ask:
    """What changes one field of a call."""
    return Ask("PUT", "/calls/{id}", json={field: "{value}"}, repeatable=repeatable)


def listed(kind: str, fields: Mapping[str, str], size: int = 100) -> Resource:
    """Other things than calls have pages by number."""
    return Resource(Ask("GET", f"/{kind}", found=kind), fields, pages=NumberedPages(size, "metadata.total_pages"))


def made(kind: str, found: str, fields: Mapping[str, str]) -> Ask:
    """What makes a new thing, each time that it is asked for."""
    return Ask("POST", f"/{kind}", json=fields, found=found, repeatable=False)


OPERATIONS = Operations(
    update={
        "tags": Ask("PUT", "/calls/{id}", json={"post_call_tokens": {"{name}": "{value}"}}),
        "converted": changed("buyer_converted"),
        "revenue": changed("revenue"),
        "payout": changed("payout"),
        "add_revenue": changed("add_revenue", repeatable=False),
        "add_payout": changed("add_payout", repeatable=False),
    },
    # 25 a page, which is the default: their documentation has no parameter for it.
    webhooks=listed("subscriptions", {"url": "target_url", "event": "event", "active": "active"}, size=25),
    register=made("subscriptions", "subscription", {"target_url": "{url}", "event": "{event}"}),
    unregister=Ask("DELETE", "/subscriptions/{id}"),
    numbers=listed("phone_numbers", {"number": "number", "name": "name", "campaign_id": "offer_id"}),
    provision=made("phone_numbers", "phone_number", NUMBER),
    release=Ask("DELETE", "/phone_numbers/{id}"),
    campaigns=listed("offers", {"name": "name"}),
    campaign=Ask("GET", "/offers/{id}", found="offer"),
    report=Columns({"calls": stat("count"), "revenue": stat("revenue"), "cost": stat("cost")}, when=spaced),
)
