"""What `calltrack accounts` says about doors: webhook secrets that follow each other, and who may knock."""

import json

import pytest

from calltrack.db import accounts, audit
from calltrack.db.credentials import Vault

ADD = ("accounts", "add", "retreaver", "--set", "api_key=plain-key", "--webhook-secret", "plain-old")
UPDATE = ("accounts", "update", "retreaver")


@pytest.fixture
def stored(database, settings_env):
    def find():
        with database.connect() as conn:
            return accounts.find(conn, Vault(settings_env().secret_keys), "retreaver")

    return find


def test_a_webhook_secret_follows_another(calltrack, stored, database):
    calltrack(*ADD)
    added = calltrack(*UPDATE, "--add-webhook-secret", "plain-new")
    assert stored().webhook_secrets == ("plain-new", "plain-old")
    assert "Webhook secrets that fit: 2." in added.output
    again = calltrack(*UPDATE, "--add-webhook-secret", "plain-new")
    assert "like that already" in again.output
    dropped = calltrack(*UPDATE, "--drop-old-webhook-secrets")
    assert stored().webhook_secrets == ("plain-new",)
    assert "Webhook secrets that fit: 1." in dropped.output
    calltrack(*UPDATE, "--drop-old-webhook-secrets")
    assert stored().webhook_secrets == ("plain-new",), "the last one stays"
    assert "plain-" not in added.output + again.output + dropped.output
    with database.connect() as conn:
        told = [entry["details"].get("changed") for entry in audit.entries(conn, action="account.changed")]
    assert told == [["webhook_secrets"]] * 2


def test_replacing_all_at_once(calltrack, stored):
    calltrack(*ADD)
    calltrack(*UPDATE, "--add-webhook-secret", "a", "--add-webhook-secret", "b", "--drop-old-webhook-secrets")
    assert stored().webhook_secrets == ("a", "b")
    calltrack(*UPDATE, "--webhook-secret", "c")
    assert stored().webhook_secrets == ("c",)


def test_networks_are_set_replaced_shown_and_lifted(calltrack, stored):
    calltrack(*ADD, "--allow-ip", "203.0.113.0/24", "--allow-ip", "2001:DB8::/32")
    assert stored().allowed_ips == ("203.0.113.0/24", "2001:db8::/32")
    calltrack(*UPDATE, "--set", "company_id=7")
    assert stored().allowed_ips == ("203.0.113.0/24", "2001:db8::/32")
    (line,) = calltrack("accounts", "list", "--json").stdout.splitlines()
    assert json.loads(line)["allowed_ips"] == ["203.0.113.0/24", "2001:db8::/32"]
    calltrack(*UPDATE, "--allow-ip", "203.0.113.7")
    assert stored().allowed_ips == ("203.0.113.7/32",)
    calltrack(*UPDATE, "--any-ip")
    assert stored().allowed_ips == ()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--allow-ip", "203.0.113.7/24"), "allowed_ips: '203.0.113.7/24' is no network: write 203.0.113.0/24."),
        (("--allow-ip", "home"), "'home' is no network"),
        (("--allow-ip", "203.0.113.7", "--any-ip"), "give one of them"),
        (("--webhook-secret", "plain-a", "--add-webhook-secret", "plain-b"), "replaces all"),
        (("--webhook-secret", "plain-a", "--drop-old-webhook-secrets"), "replaces all"),
        (("--add-webhook-secret", " "), "webhook_secrets: empty"),
    ],
)
def test_what_to_write_instead(calltrack, stored, options, told):
    calltrack(*ADD)
    before = stored()
    result = calltrack(*UPDATE, *options)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "plain-" not in result.output
    assert stored() == before


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (None, ("/webhooks/ringba ", "let it send the header X-Calltrack-Secret: SECRET")),
        ("path", ("/webhooks/ringba/default ", "a further step of that path, /SECRET")),
        ("query", ("/webhooks/ringba ", "a part of that URL, ?secret=SECRET")),
    ],
)
def test_where_a_secret_is_to_be_shown_that_signs_nothing(calltrack, place, told):
    ringba = ("accounts", "add", "ringba", "--set", "api_token=t", "--set", "account_id=RA1")
    added = calltrack(*ringba, *(("--set", f"secret_in={place}") if place else ())).output
    assert all(part in added for part in told)
