"""What Retreaver published of numbers and campaigns, read byte for byte by what the declaration says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calltrack.client.answer import Answer
from calltrack.providers import retreaver
from calltrack.providers.retreaver import PROVIDER

PUBLISHED = Path(retreaver.__file__).parent / "fixtures" / "published"
OPERATIONS = PROVIDER.operations
NUMBER = {"id": "5", "number": "+15550109191", "name": None, "campaign_id": "111"}


def published(name: str) -> Answer:
    return Answer(200, {}, (PUBLISHED / f"{name}.json").read_bytes())


def things(resource, name, found=None):
    return [{key: thing[key] for key in thing if key != "raw"} for thing in resource.read(published(name), found)]


def test_numbers():
    assert things(OPERATIONS.numbers, "get_all_numbers") == [NUMBER]
    (number,) = OPERATIONS.numbers.read(published("get_all_numbers"))
    assert number["raw"]["menu_options"][0]["menu_option"]["target_number"] == "+15557674258"


def test_a_number_that_was_bought_is_told_as_a_single_one():
    assert things(OPERATIONS.numbers, "get_a_specific_number", OPERATIONS.provision.found) == [NUMBER]


@pytest.mark.parametrize("name", ["get_all_campaigns", "get_a_specific_campaign"])
def test_campaigns_go_by_the_id_that_the_customer_gave_them(name):
    """The published campaigns have no other; it is what numbers name theirs by."""
    (campaign,) = things(OPERATIONS.campaigns, name, OPERATIONS.campaign.found)
    assert campaign == {"id": "111" if name == "get_all_campaigns" else "0044", "name": "SuperFuntime"}
    assert OPERATIONS.campaign.request({"id": campaign["id"]}).path == f"/campaigns/cid/{campaign['id']}.json"


def test_a_number_names_its_campaign_as_campaigns_are_listed():
    numbers, campaigns = (
        things(OPERATIONS.numbers, "get_all_numbers"),
        things(OPERATIONS.campaigns, "get_all_campaigns"),
    )
    assert numbers[0]["campaign_id"] == campaigns[0]["id"]


def test_a_number_is_bought_in_the_words_of_the_api():
    asked = OPERATIONS.provision.request({"kind": "Toll-free", "country": "US", "campaign": "111", "publisher": None})
    assert json.loads(json.dumps(asked.json)) == {"number": {"type": "Toll-free", "country": "US", "cid": "111"}}
    assert (asked.method, asked.path, asked.repeatable) == ("POST", "/numbers.json", False)
    assert OPERATIONS.release.request({"id": "5"}).path == "/numbers/5.json"


def test_tags_are_written_elsewhere_with_a_key_of_their_own():
    values = {"id": "c-1", "name": "zip", "value": "80014", "data_url": "https://retreaverdata.com"}
    asked = OPERATIONS.update["tags"].request(values)
    params, headers = dict(asked.params), {}
    asked.auth.apply({"postback_key": "s3cret", "api_key": "never"}, params, headers)
    assert (asked.base, asked.path) == ("https://retreaverdata.com", "/data_writing")
    assert params == {"call_uuid": "c-1", "zip": "80014", "key": "s3cret"}
