"""TrackDrive: call tracking and routing, with a tenant's own subdomain.

API: https://trackdrive.com/api/docs/1.0/calls/index.html, …/subscriptions.html, …/phone_numbers.html, …/offers.html
(read November 2026)
"""

from __future__ import annotations

from calltrack import checks
from calltrack.client.ask import Ask
from calltrack.client.auth import BasicKeys
from calltrack.client.pages import CursorPages, NumberedPages
from calltrack.client.verdict import BodyVerdict
from calltrack.client.windows import TimeFilter, spaced_seconds
from calltrack.operations import Columns, Operations, Resource
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
NUMBER = {"id": "id", "number": "number", "name": "name", "campaign_id": "offer_id"}


def stat(name: str) -> Ask:
    """One figure of all calls, day by day."""
    asked = {"stat": name, "group_by": "created_at_day", "created_at_from": "{since}", "created_at_to": "{until}"}
    return Ask("GET", "/calls/stats", {**asked, "time_zone": "UTC"}, found="stats")


def changed(field: str, *, repeatable: bool = True) -> Ask:
    """What changes one field of a call."""
    return Ask("PUT", "/calls/{id}", json={field: "{value}"}, repeatable=repeatable)


def pages(size: int = 100) -> NumberedPages:
    """Lists of other things have pages by number."""
    return NumberedPages(size=size, last_path="metadata.total_pages")


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
    check=BodyVerdict(code="status", success="success", text="errors"),
    # No limit is published.
    rate_limits=("1/second",),
    dialects={"v1": CALLS},
    webhook=Webhook(
        signature=SharedSecret(),
        map_delivery=map_delivery,
        event_fields=("event", "event_type", "trigger"),
        asks=True,
    ),
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
        webhooks=Resource(
            Ask("GET", "/subscriptions", found="subscriptions"),
            {"id": "id", "url": "target_url", "event": "event"},
            pages=pages(),
        ),
        register=Ask(
            "POST",
            "/subscriptions",
            json={"target_url": "{url}", "event": "{event}"},
            found="subscription",
            repeatable=False,
        ),
        unregister=Ask("DELETE", "/subscriptions/{id}"),
        numbers=Resource(Ask("GET", "/phone_numbers", found="phone_numbers"), NUMBER, pages=pages()),
        provision=Ask(
            "POST",
            "/phone_numbers",
            json={
                "country": "{country}",
                "area_code": "{area_code}",
                "toll_free": "{toll_free}",
                "offer_id": "{campaign}",
                "traffic_source_id": "{publisher}",
            },
            found="phone_number",
            repeatable=False,
        ),
        release=Ask("DELETE", "/phone_numbers/{id}"),
        campaigns=Resource(Ask("GET", "/offers", found="offers"), {"id": "id", "name": "name"}, pages=pages()),
        campaign=Ask("GET", "/offers/{id}", found="offer"),
        report=Columns({"calls": stat("count"), "revenue": stat("revenue"), "cost": stat("cost")}),
    ),
    environment={
        "TRACKDRIVE_API_URL": "api_url",
        "TRACKDRIVE_SUBDOMAIN": "subdomain",
        "TRACKDRIVE_PUBLIC_KEY": "public_key",
        "TRACKDRIVE_PRIVATE_KEY": "private_key",
        "TRACKDRIVE_WEBHOOK_SECRET": "webhook_secret",
    },
)
