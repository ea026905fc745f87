from dataclasses import replace

import pytest

from calltrack import checks, registry
from calltrack.accounts import forms
from calltrack.errors import FixConfiguration
from calltrack.provider import Setting


def refuse(value):
    raise ValueError(f"{value!r} is no key of ours")


ACME = replace(
    registry.get("retreaver"),
    name="acme",
    title="Acme",
    settings=(
        Setting("token", "the API token of your user page", required=True, secret=True),
        Setting("zone", "the time zone of its times", required=True, check=checks.time_zone),
        Setting("kind", "which list is read", default="long", check=checks.one_of("long", "short")),
        Setting("pin", "a second secret", secret=True, check=refuse),
    ),
)
VALUES = {"token": "t", "zone": "Europe/Berlin"}


def read(**given):
    return forms.read(
        ACME, **{"name": "default", "api_url": "https://h", "values": VALUES, "webhook_secrets": ["w"], **given}
    )


def fault(**given):
    with pytest.raises(FixConfiguration) as raised:
        read(**given)
    return raised.value.message


def test_what_is_right_comes_back_clean():
    read_back = read(
        name="second",
        api_url="https://api.example.com:8443/v1/",
        values={**VALUES, "kind": " short\n", "max_retries": "5", "retry_delay": "0.5"},
        webhook_secrets=["one", "two"],
        rate_limits=["100/minute", "5000/day"],
        allowed_ips=["203.0.113.7", "::ffff:198.51.100.0/120"],
    )
    assert read_back == forms.Form(
        name="second",
        api_url="https://api.example.com:8443/v1",
        values={**VALUES, "kind": "short", "max_retries": "5", "retry_delay": "0.5"},
        webhook_secrets=("one", "two"),
        rate_limits=("100/minute", "5000/day"),
        allowed_ips=("203.0.113.7/32", "198.51.100.0/24"),
    )
    assert "token" not in repr(read_back)


def test_defaults_are_not_written_down():
    """An account without a choice follows the provider's, also when that changes."""
    assert read().values == VALUES
    assert read().rate_limits == ()


def test_all_faults_are_told_at_once():
    told = fault(
        name="Two Words",
        api_url="ftp://example.com",
        values={"zone": "Mars", "kind": "tall", "tokn": "x"},
        rate_limits=["10/minute", "5/fortnight"],
        webhook_secrets=["", "fine"],
    )
    for part in (
        "name: write small letters, digits",
        "api_url: write the base of the provider's API",
        "token: missing (the API token of your user page).",
        "zone: 'Mars' is no time zone: write its IANA name",
        "kind: 'tall' is none of the choices: write long or short.",
        "tokn: Acme has no such setting; there are token, zone, kind, pin, ask, history, exclude, max_retries,",
        "rate_limits: A rate limit is written like 100/minute",
        "webhook_secrets: empty: give it a value.",
    ):
        assert part in told


def test_a_blank_is_no_value():
    assert "token: empty: give it a value." in fault(values={**VALUES, "token": "  "})


def test_a_secret_that_fails_its_check_is_not_shown():
    told = fault(values={**VALUES, "pin": "1234-secret"})
    assert "pin: '…' is no key of ours." in told
    assert "1234-secret" not in told


@pytest.mark.parametrize(
    "url",
    [
        "https://key@example.com",
        "https://user:key@example.com/v1",
        "https://example.com/v1?auth_token=key",
        "https://example.com/v1?",
        "https://example.com/#key",
    ],
)
def test_a_url_with_room_for_keys_is_refused_and_not_shown(url):
    told = fault(api_url=url)
    assert told == "api_url: write it without ?, # and @: credentials are given as settings."


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "//example.com", "https://", "https:///v1", "file:///etc", "http://h:port", "http://h:99999"],
)
def test_what_is_no_url_is_refused(url):
    assert fault(api_url=url) == "api_url: write the base of the provider's API, as https://api.example.com/v1."


@pytest.mark.parametrize("name", ["", "-a", "a/b", "A", "a b", "ä", "a" * 64, "a\n"])
def test_a_name_that_would_break_a_url_is_refused(name):
    assert fault(name=name).startswith("name: ")


@pytest.mark.parametrize(
    ("setting", "value"), [("max_retries", "-1"), ("max_retries", "many"), ("retry_delay", "1s"), ("retry_delay", "٣")]
)
def test_what_every_account_can_have_is_checked_too(setting, value):
    assert fault(values={**VALUES, setting: value}).startswith(f"{setting}: ")
