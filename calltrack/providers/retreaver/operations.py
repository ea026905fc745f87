"""What Retreaver's API offers besides giving calls."""

from __future__ import annotations

from calltrack.client.vocabulary import Ask, LinkPages, QueryKeys
from calltrack.operations import Operations, Resource, Rows

DAILY = {
    "domain": "calls",
    "facet": "daily",
    "per_page": "1000",
    "created_at_start": "{since}",
    "created_at_end": "{until}",
}
FIGURES = ("facet_name", "total_calls", "converted_count", "revenue", "payout", "cost")
NUMBER = {"type": "{kind}", "country": "{country}", "cid": "{campaign}", "afid": "{publisher}"}
OPERATIONS = Operations(
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
        {"number": "number", "name": "desired_text", "campaign_id": "cid"},
        wrapper="number",
        pages=LinkPages(size=100),
    ),
    provision=Ask("POST", "/numbers.json", json={"number": NUMBER}, found="number", repeatable=False),
    release=Ask("DELETE", "/numbers/{id}.json"),
    # By the id that the customer gave it, as numbers name it; that in the calls is another one.
    campaigns=Resource(
        Ask("GET", "/campaigns.json"), {"id": "cid", "name": "name"}, wrapper="campaign", pages=LinkPages(size=100)
    ),
    campaign=Ask("GET", "/campaigns/cid/{id}.json"),
    report=Rows(Ask("GET", "/api/v1/reports.json", DAILY, found="data"), FIGURES, total="count_total"),
)
