"""Convoso: a dialer for call centers.

API: https://help.convoso.com/hc/en-us/articles/37842066660891 (call log), …/37896898809883 (lead recordings)
Webhooks: Convoso Connect, …/27233456005787 (read November 2026)
"""

from __future__ import annotations

from calltrack import checks
from calltrack.client.vocabulary import Ask, BodyVerdict, OffsetPages, QueryKeys, TimeFilter, local_days, local_seconds
from calltrack.errors import SliceTooLarge
from calltrack.mapping import own_statuses
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.convoso.mapping import FIELDS, map_delivery
from calltrack.providers.convoso.operations import OPERATIONS
from calltrack.signatures import HmacSha256

LOG = Calls(
    path="/log/retrieve",
    records="data.results",
    # The API pages no further than to offset 40,000: larger ranges are cut.
    pages=OffsetPages(size=500, total_path="data.total_found", cap=40_000, most=5000),
    filter=TimeFilter("start_time", "end_time", local_seconds, extra={"order": "asc", "include_recordings": "1"}),
    one=Ask("GET", "/log/retrieve", {"id": "{id}", "include_recordings": "1"}, found="data.results"),
)
RECORDINGS = Calls(
    path="/lead/get-recordings",
    records="data",
    pages=OffsetPages(size=100, total_path="total", most=5000),
    filter=TimeFilter("start_date", "end_date", local_days),
)

PROVIDER = Provider(
    name="convoso",
    title="Convoso",
    api_url="https://api.convoso.com/v1",
    settings=(
        Setting("auth_token", "an API token that may read call logs", required=True, secret=True),
        # Its times carry no offset.
        Setting("timezone", "the account's time zone, as America/New_York", required=True, check=checks.time_zone),
        Setting("statuses", "your own status codes, as VM=voicemail, NOANS=no_answer", check=own_statuses),
    ),
    # Errors come with HTTP 200. 7231: the offset is too large.
    check=BodyVerdict(codes={"7231": SliceTooLarge}),
    auth=QueryKeys({"auth_token": "auth_token"}),
    rate_limits=("10/second",),
    dialects={"log": LOG, "recordings": RECORDINGS},
    webhook=Webhook(
        signature=HmacSha256("x-convoso-signature"),
        map_delivery=map_delivery,
        paths={"/api/webhooks/convoso": "", "/api/webhooks/convoso-leads": "lead"},
    ),
    map_call=FIELDS.call,
    operations=OPERATIONS,
)
