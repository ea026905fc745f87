"""Ringba: inbound call tracking, routing and bidding.

API: v2, as Ringba's Postman collection shows it; rate limits: https://support.ringba.com/hc/articles/23785949612695,
pixels: …/17998491616535, tokens: …/31661837696023 (read November 2026)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calltrack import checks
from calltrack.client.ask import Ask
from calltrack.client.auth import HeaderToken
from calltrack.client.pages import OffsetPages
from calltrack.client.verdict import BodyVerdict
from calltrack.client.windows import TimeFilter, rfc3339_seconds
from calltrack.errors import SliceTooLarge, TooManyRequests
from calltrack.operations import Operations, Resource, Rows
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.providers.ringba.mapping import BASIC, COLUMNS, REGION, map_call, map_delivery
from calltrack.signatures import PLACES, SharedSecret

# A body may say that we ask too often, or that it holds only a part: a shorter range is then asked for.
VERDICT = BodyVerdict(
    success="isSuccessful",
    code="messageCode",
    text="message",
    flags={"isRateLimited": TooManyRequests, "report.partialResult": SliceTooLarge},
)
FIGURES = {
    "name": "campaignName",
    "calls": "callCount",
    "converted": "convertedCalls",
    "revenue": "conversionAmount",
    "payout": "payoutAmount",
    "cost": "totalCost",
}
NEITHER = {"adjustConversion": False, "adjustPayout": False}
TAG = {"tagType": "Annotations", "tagName": "{name}", "tagValue": "{value}"}
PIXEL = {"name": "calltrack", "pixelUrl": "{url}", "eventCode": "{event}"}
NUMBER = {
    "countryCode": "{country}",
    "isTollFree": "{toll_free}",
    "areaCode": "{area_code}",
    "chargeAccountIfNeeded": False,  # from its balance, and not from a credit card
}
INSIGHTS = {
    "reportStart": "{since}",
    "reportEnd": "{until}",
    "groupByColumns": [{"column": FIGURES["name"]}],
    "valueColumns": [{"column": column} for name, column in FIGURES.items() if name != "name"],
}


def calls(columns: tuple[str, ...]) -> Calls:
    """The call log with these columns: those that are not asked for are left out."""
    return Calls(
        path="/{account_id}/calllogs",
        method="POST",
        records="report.records",
        pages=OffsetPages(size=1000, total_path="report.totalCount", size_param="size"),
        filter=TimeFilter("reportStart", "reportEnd", rfc3339_seconds),
        fixed={
            "orderByColumns": [{"column": "callDt", "direction": "asc"}],
            "valueColumns": [{"column": column} for column in columns],
        },
        one=post("/calllogs/detail", {"InboundCallIds": ["{id}"]}, found="report.records"),
    )


def post(path: str, body: Mapping[str, Any], found: str = "", *, repeatable: bool = True) -> Ask:
    """What is told to the account in a JSON body."""
    return Ask("POST", "/{account_id}" + path, json=body, found=found, repeatable=repeatable)


def adjusted(path: str, what: str, amount: str, *, repeatable: bool = True) -> Ask:
    """What adjusts one amount of a call: that of the buyer's conversion, or of the publisher's payout."""
    body = {"inboundCallId": "{id}", "reason": "Adjusted by calltrack.", **NEITHER, what: True, amount: "{value}"}
    return post(f"/calls/{path}", body, repeatable=repeatable)


PROVIDER = Provider(
    name="ringba",
    title="Ringba",
    api_url="https://api.ringba.com/v2",
    settings=(
        Setting("api_token", "an API access token, under Security", required=True, secret=True),
        Setting("account_id", "the account's id, as RA…", required=True, check=checks.name),
        Setting("dialect", "all columns, or the published ones", default="all", check=checks.one_of("all", "basic")),
        Setting("region", "how phone numbers without + are read, or none", default=REGION, check=checks.region),
        Setting("page_size", "calls per page, at most 1000", check=checks.between(1, 1000)),
        Setting("longest_range", "days that may be asked for at once", check=checks.between(1, 10_000)),
        Setting("pixels", "what pixels are called in the API", default="EventCallBacks", check=checks.name),
        Setting("secret_in", "where deliveries show their secret", default=PLACES[0], check=checks.one_of(*PLACES)),
    ),
    auth=HeaderToken("api_token", "Token {}"),
    check=VERDICT,
    # Shared by all users of the account.
    rate_limits=("5/second", "80/minute"),
    dialects={"all": calls(COLUMNS), "basic": calls(BASIC)},
    webhook=Webhook(signature=SharedSecret(), map_delivery=map_delivery, asks=True),
    map_call=map_call,
    operations=Operations(
        update={
            "tags": post("/calls/annotate", {"inboundCallId": "{id}", "tags": [TAG]}),
            "revenue": adjusted("payments/override", "adjustConversion", "newConversionAmount"),
            "payout": adjusted("payments/override", "adjustPayout", "newPayoutAmount"),
            # The API spells it so.
            "add_revenue": adjusted("payments", "adjustConversion", "adjustConverionByAmount", repeatable=False),
            "add_payout": adjusted("payments", "adjustPayout", "adjustPayoutByAmount", repeatable=False),
        },
        webhooks=Resource(
            Ask("GET", "/{account_id}/{pixels}", found="eventCallBacks"),
            {"id": "id", "url": "pixelUrl", "event": "eventCode", "active": "enabled"},
        ),
        register=post("/{pixels}", PIXEL, found="eventCallBack", repeatable=False),
        unregister=Ask("DELETE", "/{account_id}/{pixels}/{id}"),
        tokens={"inboundCallId": "[Call:InboundCallId]", "event": "{event}"},
        numbers=Resource(
            Ask("GET", "/{account_id}/numbers", found="numbers"),
            {"id": "id", "number": "phoneNumber", "campaign_id": "campaignId"},
        ),
        provision=post("/numbers", NUMBER, found="number", repeatable=False),
        release=Ask("DELETE", "/{account_id}/numbers/{id}"),
        campaigns=Resource(Ask("GET", "/{account_id}/campaigns", found="campaigns"), {"id": "id", "name": "name"}),
        campaign=Ask("GET", "/{account_id}/campaigns/{id}", found="campaign"),
        report=Rows(post("/insights", INSIGHTS, found="report.records"), FIGURES),
    ),
    environment={
        "RINGBA_API_URL": "api_url",
        "RINGBA_API_TOKEN": "api_token",
        "RINGBA_ACCOUNT_ID": "account_id",
        "RINGBA_WEBHOOK_SECRET": "webhook_secret",
    },
)
