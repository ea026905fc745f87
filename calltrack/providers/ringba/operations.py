"""What Ringba's API offers besides giving calls."""

from __future__ import annotations

from calltrack.client.vocabulary import Ask
from calltrack.operations import Operations, Resource, Rows

PIXELS, NUMBERS, CAMPAIGNS = "/{account_id}/{pixels}", "/{account_id}/numbers", "/{account_id}/campaigns"
NEITHER = {"adjustConversion": False, "adjustPayout": False}
TAG = {"tagType": "Annotations", "tagName": "{name}", "tagValue": "{value}"}
PIXEL = {"name": "calltrack", "pixelUrl": "{url}", "eventCode": "{event}"}
# paid from its balance, and not by a credit card
NUMBER = {
    "countryCode": "{country}",
    "isTollFree": "{toll_free}",
    "areaCode": "{area_code}",
    "chargeAccountIfNeeded": False,
}
FIGURES = ("campaignName", "callCount", "convertedCalls", "conversionAmount", "payoutAmount", "totalCost")
INSIGHTS = {
    "reportStart": "{since}",
    "reportEnd": "{until}",
    "groupByColumns": [{"column": FIGURES[0]}],
    "valueColumns": [{"column": column} for column in FIGURES[1:]],
}


def adjusted(path: str, what: str, amount: str, *, repeatable: bool = True) -> Ask:
    """What adjusts one amount of a call: that of the buyer's conversion, or of the publisher's payout."""
    body = {"inboundCallId": "{id}", "reason": "Adjusted by calltrack.", **NEITHER, what: True, amount: "{value}"}
    return Ask("POST", f"/{{account_id}}/calls/{path}", json=body, repeatable=repeatable)


OPERATIONS = Operations(
    update={
        "tags": Ask("POST", "/{account_id}/calls/annotate", json={"inboundCallId": "{id}", "tags": [TAG]}),
        "revenue": adjusted("payments/override", "adjustConversion", "newConversionAmount"),
        "payout": adjusted("payments/override", "adjustPayout", "newPayoutAmount"),
        # The API spells it so.
        "add_revenue": adjusted("payments", "adjustConversion", "adjustConverionByAmount", repeatable=False),
        "add_payout": adjusted("payments", "adjustPayout", "adjustPayoutByAmount", repeatable=False),
    },
    webhooks=Resource(
        Ask("GET", PIXELS, found="eventCallBacks"), {"url": "pixelUrl", "event": "eventCode", "active": "enabled"}
    ),
    register=Ask("POST", PIXELS, json=PIXEL, found="eventCallBack", repeatable=False),
    unregister=Ask("DELETE", PIXELS + "/{id}"),
    tokens={"inboundCallId": "[Call:InboundCallId]", "event": "{event}"},
    numbers=Resource(Ask("GET", NUMBERS, found="numbers"), {"number": "phoneNumber", "campaign_id": "campaignId"}),
    provision=Ask("POST", NUMBERS, json=NUMBER, found="number", repeatable=False),
    release=Ask("DELETE", NUMBERS + "/{id}"),
    campaigns=Resource(Ask("GET", CAMPAIGNS, found="campaigns"), {"name": "name"}),
    campaign=Ask("GET", CAMPAIGNS + "/{id}", found="campaign"),
    report=Rows(Ask("POST", "/{account_id}/insights", json=INSIGHTS, found="report.records"), FIGURES),
)
