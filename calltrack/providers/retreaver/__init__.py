"""Retreaver: inbound call tracking and routing.

API: https://retreaver.github.io/core-api-docs/
Webhooks: https://learn.retreaver.com/guides/webhooks (read November 2026)
"""

from __future__ import annotations

from datetime import timedelta

from calltrack import checks
from calltrack.client.vocabulary import Ask, LinkPages, NewestChangeFirst, QueryKeys, TimeFilter
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.retreaver.mapping import FIELDS
from calltrack.providers.retreaver.operations import OPERATIONS
from calltrack.signatures import HmacSha256

#: v2 first: the default. v1 has fewer fields; v3 and v4 turn the number and the campaign into objects.
VERSIONS = ("v2", "v1", "v3", "v4")


def calls(version: str) -> Calls:
    """The list call of one version of the API."""
    return Calls(
        path=f"/api/{version}/calls.json",
        records="",
        wrapper="call",
        # The docs say 25 a page; the vendor's own script asks for 100 and gets them.
        pages=LinkPages(size=100),
        filter=TimeFilter("created_at_start", "created_at_end", extra={"sort_by": "created_at", "order": "asc"}),
        # The API sorts by change, always newest first, but documents no filter by it.
        changes=NewestChangeFirst(extra={"sort_by": "updated_at", "order": "desc"}, changed="updated_at"),
        one=Ask("GET", f"/api/{version}/calls/{{id}}.json"),
    )


PROVIDER = Provider(
    name="retreaver",
    title="Retreaver",
    api_url="https://api.retreaver.com",
    settings=(
        Setting("api_key", "the Core API key, at the bottom of your user page", required=True, secret=True),
        Setting("company_id", "the company whose calls are meant; needed where the key sees several"),
        Setting("postback_key", "a postback key: needed to write tags to calls", secret=True),
        Setting("data_url", "where tags are written to", default="https://retreaverdata.com", check=checks.url),
        Setting("campaign_token", "what [campaign_id] is in a webhook", default="id", check=checks.one_of("id", "cid")),
    ),
    auth=QueryKeys({"api_key": "api_key", "company_id": "company_id"}),
    rate_limits=("100/minute",),
    dialects={version: calls(version) for version in VERSIONS},
    webhook=Webhook(
        signature=HmacSha256("X-Signature"), map_delivery=FIELDS.notice, event_fields=("event", "event_type", "trigger")
    ),
    map_call=FIELDS.call,
    versioned=True,
    operations=OPERATIONS,
    # Changes are listed by themselves, so reaching back only has to cover clocks that differ.
    overlap=timedelta(hours=1),
)
