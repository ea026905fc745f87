"""Ringba: inbound call tracking, routing and bidding.

API: v2, as Ringba's Postman collection shows it; rate limits: https://support.ringba.com/hc/articles/23785949612695,
pixels: …/17998491616535, tokens: …/31661837696023 (read November 2026)
"""

from __future__ import annotations

from calltrack import checks
from calltrack.client.vocabulary import Ask, BodyVerdict, HeaderToken, OffsetPages, TimeFilter, rfc3339_seconds
from calltrack.errors import SliceTooLarge, TooManyRequests
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.ringba.mapping import BASIC, COLUMNS, FIELDS
from calltrack.providers.ringba.operations import OPERATIONS
from calltrack.signatures import SharedSecret

# A body may say that we ask too often, or that it holds only a part: a shorter range is then asked for.
FLAGS = {"isRateLimited": TooManyRequests, "report.partialResult": SliceTooLarge}


def calls(columns: str) -> Calls:
    """The call log with these columns: those that are not asked for are left out."""
    return Calls(
        path="/{account_id}/calllogs",
        method="POST",
        records="report.records",
        pages=OffsetPages(size=1000, total_path="report.totalCount", size_param="size"),
        filter=TimeFilter("reportStart", "reportEnd", rfc3339_seconds),
        fixed={
            "orderByColumns": [{"column": "callDt", "direction": "asc"}],
            "valueColumns": [{"column": column} for column in columns.split()],
        },
        one=Ask("POST", "/{account_id}/calllogs/detail", json={"InboundCallIds": ["{id}"]}, found="report.records"),
    )


PROVIDER = Provider(
    name="ringba",
    title="Ringba",
    api_url="https://api.ringba.com/v2",
    settings=(
        Setting("api_token", "an API access token, under Security", required=True, secret=True),
        Setting("account_id", "the account's id, as RA…", required=True, check=checks.name),
        Setting("pixels", "what pixels are called in the API", default="EventCallBacks", check=checks.name),
    ),
    auth=HeaderToken("api_token", "Token {}"),
    check=BodyVerdict("isSuccessful", "messageCode", "message", flags=FLAGS),
    # Shared by all users of the account.
    rate_limits=("5/second", "80/minute"),
    dialects={"all": calls(COLUMNS), "basic": calls(BASIC)},
    webhook=Webhook(signature=SharedSecret(), map_delivery=FIELDS.notice, asks=True),
    map_call=FIELDS.call,
    operations=OPERATIONS,
)
