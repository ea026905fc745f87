"""TrackDrive: call tracking and routing, with a tenant's own subdomain.

API: https://trackdrive.com/api/docs/1.0/calls/index.html, …/subscriptions.html, …/phone_numbers.html, …/offers.html
(read November 2026)
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from calltrack import checks
from calltrack.client import statuses
from calltrack.client.answer import Answer
from calltrack.client.ask import Ask
from calltrack.client.auth import BasicKeys
from calltrack.client.pages import CursorPages, NumberedPages
from calltrack.client.windows import TimeFilter, spaced_seconds
from calltrack.errors import RequestRefused, UnreadableAnswer
from calltrack.operations import Columns, Operations, Resource, spaced
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.trackdrive.mapping import REGION, map_call, map_delivery
from calltrack.signatures import PLACES, SharedSecret

CALLS = Calls(
    path="/calls",
    records="calls",
    # Deep pages by number are refused; a cursor is not.
    pages=CursorPages(size=100, next_path="metadata.next_cursor", total_path="metadata.total_count"),
    filter=TimeFilter(
        "created_at_from",
        "created_at_to",
        spaced_seconds,
        extra={"time_zone": "UTC", "order": "created_at", "order_dir": "asc"},
    ),
    one=Ask("GET", "/calls/{id}", found="call"),
)
NUMBER = {
    "country": "{country}",
    "area_code": "{area_code}",
    "toll_free": "{toll_free}",
    "offer_id": "{campaign}",
    "traffic_source_id": "{publisher}",
}


def verdict(answer: Answer) -> None:
    """An answer about one thing repeats its status in the body, which may know better: `{"status": 422, "errors": …}`.

    What stands in `errors` may repeat what was asked: it is not passed on.
    """
    with suppress(UnreadableAnswer):  # what is no JSON is found out where it is read
        body = answer.json if isinstance(answer.json, dict) else {}
        said = body.get("status")
        if type(said) is int and (error := statuses.error_of(Answer(said, answer.headers, b""))):
            raise error
        if body.get("errors"):
            raise RequestRefused


def stat(name: str) -> Ask:
    """One figure of all calls, day by day."""
    asked = {"stat": name, "group_by": "created_at_day", "created_at_from": "{since}", "created_at_to": "{until}"}
    return Ask("GET", "/calls/stats", {**asked, "time_zone": "UTC"}, found="stats")


def changed(field: str, *, repeatable: bool = True) -> Ask:
    """What changes one field of a call."""
    return Ask("PUT", "/calls/{id}", json={field: "{value}"}, repeatable=repeatable)


def listed(kind: str, fields: Mapping[str, str], size: int = 100) -> Resource:
    """Other things than calls have pages by number."""
    return Resource(
        Ask("GET", f"/{kind}", found=kind), fields, pages=NumberedPages(size=size, last_path="metadata.total_pages")
    )


def made(kind: str, found: str, fields: Mapping[str, str]) -> Ask:
    """What makes a new thing, each time that it is asked for."""
    return Ask("POST", f"/{kind}", json=fields, found=found, repeatable=False)


PROVIDER = Provider(
    name="trackdrive",
    title="TrackDrive",
    api_url="https://{subdomain}.trackdrive.com/api/v1",
    settings=(
        Setting("subdomain", "yours, as acme in acme.trackdrive.com", required=True, check=checks.name),
        Setting("public_key", "the public half of an API key", required=True, secret=True),
        Setting("private_key", "the private half of it", required=True, secret=True),
        Setting("region", "how phone numbers without + are read, or none", default=REGION, check=checks.region),
        Setting("page_size", "calls per page, up to what the API gives", check=checks.between(1, 1000)),
        Setting("secret_in", "where deliveries show their secret", default=PLACES[0], check=checks.one_of(*PLACES)),
    ),
    auth=BasicKeys("public_key", "private_key"),
    check=verdict,
    # No limit is published.
    rate_limits=("1/second",),
    dialects={"v1": CALLS},
    webhook=Webhook(signature=SharedSecret(), map_delivery=map_delivery, asks=True),
    map_call=map_call,
    versioned=True,
    operations=Operations(
        update={
            "tags": Ask("PUT", "/calls/{id}", json={"post_call_tokens": {"{name}": "{value}"}}),
            "converted": changed("buyer_converted"),
            "revenue": changed("revenue"),
            "payout": changed("payout"),
            "add_revenue": changed("add_revenue", repeatable=False),
            "add_payout": changed("add_payout", repeatable=False),
        },
        # 25 a page, which is the default: their documentation has no parameter for it.
        webhooks=listed(
            "subscriptions", {"id": "id", "url": "target_url", "event": "event", "active": "active"}, size=25
        ),
        register=made("subscriptions", "subscription", {"target_url": "{url}", "event": "{event}"}),
        unregister=Ask("DELETE", "/subscriptions/{id}"),
        numbers=listed("phone_numbers", {"id": "id", "number": "number", "name": "name", "campaign_id": "offer_id"}),
        provision=made("phone_numbers", "phone_number", NUMBER),
        release=Ask("DELETE", "/phone_numbers/{id}"),
        campaigns=listed("offers", {"id": "id", "name": "name"}),
        campaign=Ask("GET", "/offers/{id}", found="offer"),
        report=Columns({"calls": stat("count"), "revenue": stat("revenue"), "cost": stat("cost")}, when=spaced),
    ),
    environment={
        "TRACKDRIVE_API_URL": "api_url",
        "TRACKDRIVE_SUBDOMAIN": "subdomain",
        "TRACKDRIVE_PUBLIC_KEY": "public_key",
        "TRACKDRIVE_PRIVATE_KEY": "private_key",
        "TRACKDRIVE_WEBHOOK_SECRET": "webhook_secret",
    },
)
