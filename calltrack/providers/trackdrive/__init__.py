"""TrackDrive: call tracking and routing, with a tenant's own subdomain.

API: https://trackdrive.com/api/docs/1.0/calls/index.html, …/subscriptions.html, …/phone_numbers.html, …/offers.html
(read November 2026)
"""

from __future__ import annotations

from calltrack import checks
from calltrack.client.vocabulary import Ask, BasicKeys, BodyStatus, CursorPages, TimeFilter, spaced_seconds
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.trackdrive.mapping import FIELDS, map_delivery
from calltrack.providers.trackdrive.operations import OPERATIONS
from calltrack.signatures import SharedSecret

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

PROVIDER = Provider(
    name="trackdrive",
    title="TrackDrive",
    api_url="https://{subdomain}.trackdrive.com/api/v1",
    settings=(
        Setting("subdomain", "yours, as acme in acme.trackdrive.com", required=True, check=checks.name),
        Setting("public_key", "the public half of an API key", required=True, secret=True),
        Setting("private_key", "the private half of it", required=True, secret=True),
    ),
    auth=BasicKeys("public_key", "private_key"),
    check=BodyStatus(),
    # No limit is published.
    rate_limits=("1/second",),
    dialects={"v1": CALLS},
    webhook=Webhook(signature=SharedSecret(), map_delivery=map_delivery, asks=True),
    map_call=FIELDS.call,
    versioned=True,
    operations=OPERATIONS,
)
