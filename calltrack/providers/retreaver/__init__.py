"""Retreaver: inbound call tracking and routing.

API: https://retreaver.github.io/core-api-docs/
Webhooks: https://learn.retreaver.com/guides/webhooks (read November 2026)
"""

from __future__ import annotations

from datetime import timedelta

from calltrack import checks
from calltrack.client.ask import Ask
from calltrack.client.auth import QueryKeys
from calltrack.client.pages import LinkPages
from calltrack.client.windows import NewestChangeFirst, TimeFilter
from calltrack.operations import Operations, Resource, Rows
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.retreaver.mapping import REGION, map_call, map_delivery
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
        Setting("dialect", "the version of the calls API", default=VERSIONS[0], check=checks.one_of(*VERSIONS)),
        Setting("region", "how phone numbers without + are read, or none", default=REGION, check=checks.region),
        Setting("page_size", "calls per page, up to what the API gives", check=checks.between(1, 1000)),
        Setting("postback_key", "a postback key: needed to write tags to calls", secret=True),
        Setting("data_url", "where tags are written to", default="https://retreaverdata.com", check=checks.url),
        Setting(
            "campaign_token", "what [campaign_id] gives in a webhook", default="id", check=checks.one_of("id", "cid")
        ),
    ),
    auth=QueryKeys({"api_key": "api_key", "company_id": "company_id"}),
    rate_limits=("100/minute",),
    dialects={version: calls(version) for version in VERSIONS},
    webhook=Webhook(
        signature=HmacSha256("X-Signature"), map_delivery=map_delivery, event_fields=("event", "event_type", "trigger")
    ),
    map_call=map_call,
    versioned=True,
    operations=Operations(
        # The API of calls writes nothing; tags go another way.
        update={
            "tags": Ask(
                "GET",
                "/data_writing",
                {"call_uuid": "{id}", "{name}": "{value}"},
                base="{data_url}",
                auth=QueryKeys({"key": "postback_key"}),
            )
        },
        numbers=Resource(
            Ask("GET", "/numbers.json"),
            {"id": "id", "number": "number", "name": "desired_text", "campaign_id": "cid"},
            wrapper="number",
            pages=LinkPages(size=100),
        ),
        provision=Ask(
            "POST",
            "/numbers.json",
            json={"number": {"type": "{kind}", "country": "{country}", "cid": "{campaign}", "afid": "{publisher}"}},
            found="number",
            repeatable=False,
        ),
        release=Ask("DELETE", "/numbers/{id}.json"),
        campaigns=Resource(
            # By the id that the customer gave it, as numbers name it; that in the calls is another one.
            Ask("GET", "/campaigns.json"),
            {"id": "cid", "name": "name"},
            wrapper="campaign",
            pages=LinkPages(size=100),
        ),
        campaign=Ask("GET", "/campaigns/cid/{id}.json"),
        report=Rows(
            Ask(
                "GET",
                "/api/v1/reports.json",
                {
                    "domain": "calls",
                    "facet": "daily",
                    "created_at_start": "{since}",
                    "created_at_end": "{until}",
                    "per_page": "1000",
                },
                found="data",
            ),
            {
                "name": "facet_name",
                "calls": "total_calls",
                "converted": "converted_count",
                "revenue": "revenue",
                "payout": "payout",
                "cost": "cost",
            },
            total="count_total",
        ),
    ),
    # Changes are listed by themselves, so reaching back only has to cover clocks that differ.
    overlap=timedelta(hours=1),
    environment={
        "RETREAVER_API_URL": "api_url",
        "RETREAVER_API_KEY": "api_key",
        "RETREAVER_COMPANY_ID": "company_id",
        "RETREAVER_WEBHOOK_SECRET": "webhook_secret",
    },
)
