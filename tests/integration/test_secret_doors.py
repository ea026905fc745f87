"""Providers that sign nothing: the secret itself opens the door, in a header, in the path or in the query."""

import json
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.sync import inbox
from webhooks.app import create_app

SECRET, OLD_SECRET = "a-secret-of-the-account", "the-secret-before-it"
HEADER = {"X-Calltrack-Secret": SECRET}
PIXEL = {"inboundCallId": "RGB1", "tag:Campaign:Name": "Solar & Co", "event": "Completed"}
DOORS = {
    "header": ("/webhooks/ringba/main", {}, HEADER),
    "path": (f"/webhooks/ringba/main/{SECRET}", {}, {}),
    "query": ("/webhooks/ringba/main", {"secret": SECRET}, {}),
}


@pytest.fixture
def settings(settings_env):
    return settings_env()


@pytest.fixture
def app(database, settings):
    opened = create_app(settings, publish=lambda _: None, interval=3600)
    yield opened
    opened.extensions["receiver"].close()


@pytest.fixture
def add(database, settings):
    def added(place=None, secrets=(SECRET, OLD_SECRET), provider="ringba"):
        with database.begin() as connection:
            return accounts.insert(
                connection,
                Vault(settings.secret_keys),
                provider=provider,
                name="main",
                api_url="http://127.0.0.1:1",
                secrets={},
                webhook_secrets=secrets,
                settings={"secret_in": place} if place else {},
            )

    return added


@pytest.fixture
def landed(database):
    def read():
        with database.connect() as connection:
            return connection.execute(text("SELECT * FROM webhook_logs ORDER BY id")).mappings().all()

    return read


def call(app, path, query=(), headers=(), method="GET", **options):
    return app.test_client().open(path, method=method, query_string=dict(query), headers=dict(headers), **options)


@pytest.mark.parametrize("place", DOORS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH"])
def test_a_pixel_lands_with_its_tokens_and_without_its_secret(app, add, landed, place, method):
    add(place)
    path, query, headers = DOORS[place]
    assert call(app, path, PIXEL | query, headers, method).status_code == 202
    (delivery,) = landed()
    assert inbox.read(delivery["content_type"] or "", delivery["query"], bytes(delivery["body"])) == PIXEL
    assert (delivery["event_type"], delivery["verified"], delivery["signature"]) == ("Completed", False, None)
    assert SECRET not in str(dict(delivery))


@pytest.mark.parametrize("place", DOORS)
@pytest.mark.parametrize("shown", DOORS)
def test_the_secret_counts_only_where_the_account_says_so(app, add, landed, place, shown):
    add(place)
    path, query, headers = DOORS[shown]
    status = call(app, path, PIXEL | query, headers).status_code
    assert status == (202 if place == shown else 404 if shown == "path" else 401)
    assert len(landed()) == (place == shown)


@pytest.mark.parametrize("place", DOORS)
@pytest.mark.parametrize("wrong", ["", "x", SECRET[:-1], SECRET + "x", SECRET.upper(), "\u00e9"])
def test_another_secret_opens_no_door(app, add, landed, place, wrong):
    add(place)
    path, query, headers = DOORS[place]
    path = path.removesuffix(SECRET) + wrong if place == "path" else path
    query = dict.fromkeys(query, wrong)
    headers = {name: wrong.encode().decode("latin-1") for name in headers}
    assert call(app, path, PIXEL | query, headers).status_code == 401
    assert not landed()


@pytest.mark.parametrize("place", DOORS)
def test_two_secrets_hold_while_they_are_changed(app, add, place):
    add(place, secrets=["the-new-one-is-first", SECRET])
    path, query, headers = DOORS[place]
    assert call(app, path, PIXEL | query, headers).status_code == 202


def test_an_account_without_a_secret_lets_nobody_in(app, add):
    add("query", secrets=[""])
    assert call(app, "/webhooks/ringba/main", PIXEL | {"secret": ""}).status_code == 401


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps(PIXEL).encode(), "application/json"),
        (urlencode(PIXEL).encode(), "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_with_the_secret_in_the_query(app, add, landed, body, kind):
    add("query")
    answer = call(app, "/webhooks/ringba/main", {"secret": SECRET}, (), "POST", data=body, content_type=kind)
    assert answer.status_code == 202
    assert (bytes(landed()[0]["body"]), landed()[0]["query"]) == (body, "")


def test_the_url_may_say_what_a_body_is_about(app, add, landed):
    """A subscription's URL is ours to choose, its body is not: it says no word of the event."""
    add("path", provider="trackdrive")
    path = f"/webhooks/trackdrive/main/{SECRET}"
    body = {"uuid": "td-1"}
    assert call(app, path, {"event": "call_ended"}, (), "POST", json=body).status_code == 202
    assert call(app, path, {"event": "call_ended"}, (), "POST", json={"event": "new_call", **body}).status_code == 202
    assert [one["event_type"] for one in landed()] == ["call_ended", "call_ended"]


def test_a_pixel_that_fires_twice_is_one_delivery(app, add, landed):
    add("path")
    path = DOORS["path"][0]
    assert [call(app, path, PIXEL).json["status"] for _ in range(2)] == ["accepted", "duplicate"]
    assert len(landed()) == 1


def test_an_empty_call_of_the_url_says_nothing(app, add, landed):
    add("path")
    assert call(app, DOORS["path"][0]).status_code == 422
    assert not landed()


def test_a_provider_that_signs_has_no_door_for_a_secret_in_the_path(app, add, landed):
    add("path", provider="retreaver")
    assert call(app, f"/webhooks/retreaver/main/{SECRET}", PIXEL).status_code == 401
