from __future__ import annotations

import json
from decimal import Decimal
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calltrack.client import session
from calltrack.client.ask import Ask, fill_path
from calltrack.client.auth import HeaderToken
from calltrack.errors import NotThere

#: with what has a meaning in paths and URLs, in other scripts and beyond 16 bits
TEXT = st.text("aZ09 ./\\?#%&=+:@[]{}~'\"\n\x00é٣\u2028中😀", max_size=12)


# ── paths ──


def test_a_path_is_filled_in_step_by_step_and_what_is_not_known_yet_stays():
    assert fill_path("/{account_id}/calls/{id}", {"account_id": "RA1"}) == "/RA1/calls/{id}"
    assert fill_path("/{account_id}/calls/{id}", {"account_id": "RA1", "id": 17}) == "/RA1/calls/17"
    assert fill_path("https://{subdomain}.example.com/v1", {"subdomain": "acme"}) == "https://acme.example.com/v1"


@pytest.mark.parametrize(
    ("value", "step"),
    [
        ("a/b", "a%2Fb"),
        ("../../offers/1", "..%2F..%2Foffers%2F1"),
        ("%2e%2e", "%252e%252e"),
        ("1?api_key=x", "1%3Fapi_key%3Dx"),
        ("1#x", "1%23x"),
        ("a\\b", "a%5Cb"),
        ("é", "%C3%A9"),
        ("v2..x", "v2..x"),
    ],
)
def test_a_value_is_one_step_whatever_is_in_it(value, step):
    assert Ask("GET", "/calls/{id}/events").request({"id": value}).path == f"/calls/{step}/events"


@pytest.mark.parametrize("value", [".", "..", "...", ""])
def test_what_would_lead_elsewhere_is_not_there(value):
    with pytest.raises(NotThere):
        Ask("DELETE", "/numbers/{id}").request({"id": value})


@given(value=TEXT)
def test_no_value_leads_out_of_its_step(value):
    assume(value.strip("."))
    path = Ask("GET", "/calls/{id}/events").request({"id": value}).path
    assert session.PATH.fullmatch(path)
    before, step, after = path.removeprefix("/").split("/")
    assert (before, unquote(step), after) == ("calls", value, "events")
    assert step not in (".", "..")


# ── what is sent ──


def test_a_value_that_stands_alone_keeps_its_type_in_json():
    ask = Ask("POST", "/x", json={"n": "{n}", "list": ["{n}", "{yes}"], "text": "n is {n}, {yes}", "fixed": True})
    body = ask.request({"n": 3, "yes": False}).json
    assert body == {"n": 3, "list": [3, False], "text": "n is 3, false", "fixed": True}
    assert ask.request({"n": 3}).json["text"] == "n is 3, {yes}"


def test_what_was_not_given_is_left_out_and_what_is_nothing_is_not():
    ask = Ask("POST", "/x", {"a": "{a}", "b": "{b}"}, json={"a": "{a}", "in": {"b": "{b}"}, "of": ["{a}", "{b}"]})
    given_one = ask.request({"a": None, "b": 0})
    assert (given_one.params, given_one.json) == ({"b": "0"}, {"in": {"b": 0}, "of": [0]})
    assert ask.request({"b": False}).params == {"b": "false"}
    assert ask.request({}).json == {"in": {}, "of": []}


def test_names_are_filled_in_too():
    tag = {"name": "zip", "value": "80014"}
    assert Ask("PUT", "/x", json={"tokens": {"{name}": "{value}"}}).request(tag).json == {"tokens": {"zip": "80014"}}
    form = Ask("POST", "/x", form={"id": "{id}", "{name}": "{value}"}).request({**tag, "id": 7}).form
    assert form == {"id": "7", "zip": "80014"}


def test_what_a_value_holds_is_not_filled_in_again():
    request = Ask("POST", "/{id}", {"v": "{v}"}, json={"v": "{v}", "t": "<{v}>"}).request({"id": "{v}", "v": "{id}"})
    assert (request.path, request.params) == ("/%7Bv%7D", {"v": "{id}"})
    assert request.json == {"v": "{id}", "t": "<{id}>"}


def test_a_template_is_not_used_up():
    ask = Ask("POST", "/x", json={"list": ["{a}"]})
    assert [ask.request({"a": n}).json for n in (1, 2)] == [{"list": [1]}, {"list": [2]}]


AMOUNTS = (
    st.decimals(-(10**11), 10**11, places=6) | st.decimals(0, 10**6, places=2) | st.integers(0, 10**9).map(Decimal)
)


@given(amount=AMOUNTS)
def test_money_keeps_its_digits(amount):
    ask = Ask("PUT", "/x", {"v": "{v}"}, json={"v": "{v}"}, form={"v": "{v}"})
    request = ask.request({"v": amount})
    written = orjson.dumps(request.json, default=session._number)
    assert json.loads(written, parse_int=Decimal, parse_float=Decimal) == {"v": amount}
    assert b"e" not in written.lower()
    assert request.params == request.form == {"v": f"{amount:f}"}


def test_12_50_is_sent_as_12_50():
    request = Ask("PUT", "/x", json={"revenue": "{value}"}).request({"value": Decimal("12.50")})
    assert orjson.dumps(request.json, default=session._number) == b'{"revenue":12.50}'


def test_what_goes_along():
    auth = HeaderToken("key")
    ask = Ask("GET", "/x", repeatable=False, base="{data_url}", auth=auth)
    request = ask.request({"data_url": "https://data.example"})
    assert (request.method, request.base, request.auth) == ("GET", "https://data.example", auth)
    assert (request.repeatable, request.json, request.form) == (False, None, None)
