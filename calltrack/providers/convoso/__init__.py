"""Convoso: a dialer for call centers.

API: https://help.convoso.com/hc/en-us/articles/37842066660891 (call log), …/37896898809883 (lead recordings)
Webhooks: Convoso Connect, …/27233456005787 (read November 2026)
"""

from __future__ import annotations

from calltrack import checks
from calltrack.client.ask import Ask
from calltrack.client.auth import QueryKeys
from calltrack.client.pages import OffsetPages
from calltrack.client.verdict import BodyVerdict
from calltrack.client.windows import TimeFilter, local_days, local_seconds
from calltrack.errors import SliceTooLarge
from calltrack.mapping import own_statuses
from calltrack.operations import Operations, Resource
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.convoso.mapping import REGION, map_call, map_delivery
from calltrack.signatures import HmacSha256

# Errors come with HTTP 200. 7231: the offset is too large.
VERDICT = BodyVerdict(codes={"7231": SliceTooLarge})
LOG = Calls(
    path="/log/retrieve",
    records="data.results",
    # The API pages no further than to offset 40,000: larger ranges are cut.
    pages=OffsetPages(size=500, total_path="data.total_found", cap=40_000),
    filter=TimeFilter("start_time", "end_time", local_seconds, extra={"order": "asc", "include_recordings": "1"}),
    one=Ask("GET", "/log/retrieve", {"id": "{id}", "include_recordings": "1"}, found="data.results"),
)
RECORDINGS = Calls(
    path="/lead/get-recordings",
    records="data",
    pages=OffsetPages(size=100, total_path="total"),
    filter=TimeFilter("start_date", "end_date", local_days),
)
DIALECTS = {"log": LOG, "recordings": RECORDINGS}

PROVIDER = Provider(
    name="convoso",
    title="Convoso",
    api_url="https://api.convoso.com/v1",
    settings=(
        Setting("auth_token", "an API token that may read call logs", required=True, secret=True),
        Setting(
            "timezone",
            "the account's time zone, as America/New_York: Convoso's times carry none",
            required=True,
            check=checks.time_zone,
        ),
        Setting("dialect", "which list of calls is read", default="log", check=checks.one_of(*DIALECTS)),
        Setting("region", "how phone numbers without + are read, or none", default=REGION, check=checks.region),
        Setting("statuses", "your own status codes, as VM=voicemail, NOANS=no_answer", check=own_statuses),
        Setting("page_size", "calls per page, up to what the API gives", check=checks.between(1, 5000)),
        Setting("offset_cap", "the largest range that is paged through whole", check=checks.between(1, 1_000_000)),
    ),
    check=VERDICT,
    auth=QueryKeys({"auth_token": "auth_token"}),
    rate_limits=("10/second",),
    dialects=DIALECTS,
    webhook=Webhook(
        signature=HmacSha256("x-convoso-signature"),
        map_delivery=map_delivery,
        paths={"/api/webhooks/convoso": "", "/api/webhooks/convoso-leads": "lead"},
    ),
    map_call=map_call,
    operations=Operations(
        update={
            # two of them: extra_field_01 and extra_field_02
            "tags": Ask("POST", "/log/update", form={"call_log_id": "{id}", "{name}": "{value}"}),
            "revenue": Ask("POST", "/revenue/update", form={"call_log_id": "{id}", "revenue": "{value}"}),
        },
        campaigns=Resource(Ask("GET", "/campaigns/search", found="data"), {"id": "id", "name": "name"}),
    ),
    environment={
        "CONVOSO_BASE_URL": "api_url",
        "CONVOSO_AUTH_TOKEN": "auth_token",
        "CONVOSO_TIMEZONE": "timezone",
        "CONVOSO_WEBHOOK_SECRET": "webhook_secret",
        "CONVOSO_POLLING_ENABLED": "enabled",
        "CONVOSO_MAX_RETRIES": "max_retries",
        "CONVOSO_RETRY_DELAY_MS": "retry_delay",
    },
)
