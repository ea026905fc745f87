import json

import pytest

from calltrack.client.breaker import Breaker
from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.errors import ProviderFailed
from calltrack.sync.connections import client_for

RETREAVER = ("retreaver", "--set", "api_key=plain-key", "--set", "company_id=7")
NOBODY = ("--api-url", "http://127.0.0.1:1")


@pytest.fixture
def stored(database, settings_env):
    """Opens an account as another process would."""

    def find(provider, name=None):
        with database.connect() as conn:
            return accounts.find(conn, Vault(settings_env().secret_keys), provider, name)

    return find


def test_add_keeps_all_that_is_given(calltrack, stored):
    options = (
        "--name",
        "east",
        "--api-url",
        "http://127.0.0.1:1/v1/",
        "--webhook-secret",
        "b",
        "--webhook-secret",
        "a",
    )
    result = calltrack("accounts", "add", *RETREAVER, *options, "--rate-limit", "5/second", "--rate-limit", "900/day")
    assert result.exit_code == 0
    account = stored("retreaver", "east")
    assert account.credentials == {"api_key": "plain-key", "company_id": "7"}
    assert account.api_url == "http://127.0.0.1:1/v1"
    assert account.webhook_secrets == ("b", "a")
    assert account.rate_limits == ("5/second", "900/day")


def test_add_shows_a_made_secret_once_and_where_to_enter_it(calltrack, stored):
    added = calltrack("accounts", "add", *RETREAVER)
    (secret,) = stored("retreaver").webhook_secrets
    assert secret in added.stdout
    assert "/webhooks/retreaver " in added.stdout
    assert secret not in calltrack("accounts", "list").output + calltrack("accounts", "list", "--json").output


def test_add_never_shows_what_it_was_given(calltrack):
    result = calltrack("accounts", "add", *RETREAVER, "--webhook-secret", "plain-hook", "--name", "east")
    assert "/webhooks/retreaver/east" in result.output
    assert "plain-" not in result.output


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("retreaver",), "api_key: missing"),
        (("convoso", "--set", "auth_token=t", "--set", "timezone=Mars"), "timezone: 'Mars' is no time zone"),
        (("nobody",), "There is no provider 'nobody'. There are: convoso, retreaver, ringba, trackdrive."),
        (("retreaver", "--set", "plain-key"), "--set wants KEY=VALUE"),
        (("retreaver", "--set", "api_key=plain-key", "--set", "api_key=plain-two"), "'api_key' is given twice"),
        ((*RETREAVER, "--rate-limit", "lots"), "A rate limit is written like 100/minute"),
    ],
)
def test_add_tells_what_to_write_instead(calltrack, wrong, told):
    result = calltrack("accounts", "add", *wrong)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "plain-" not in result.output


def test_list_shows_accounts_without_secrets(calltrack):
    assert "No accounts yet" in calltrack("accounts", "list").stdout
    calltrack("accounts", "add", *RETREAVER, "--webhook-secret", "plain-hook")
    listed = calltrack("accounts", "list").stdout
    assert "retreaver/default" in listed
    assert "company_id=7" in listed
    (line,) = calltrack("accounts", "list", "--json").stdout.splitlines()
    account = json.loads(line)
    assert (account["provider"], account["name"], account["settings"]) == ("retreaver", "default", {"company_id": "7"})
    assert account["next_full_at"].endswith("T02:00:00+00:00")
    assert "plain-" not in listed + line


def test_update_changes_only_what_is_given(calltrack, stored):
    calltrack("accounts", "add", *RETREAVER, "--webhook-secret", "hook")
    assert "changed" in calltrack("accounts", "update", "retreaver", "--set", "api_key=new").stdout
    account = stored("retreaver")
    assert account.credentials == {"api_key": "new", "company_id": "7"}
    assert account.webhook_secrets == ("hook",)
    assert "like that already" in calltrack("accounts", "update", "retreaver", "--set", "api_key=new").stdout


@pytest.mark.parametrize("name", ["retreaver/default", "retreaver", "default"])
def test_one_account_goes_by_any_name_that_says_enough(calltrack, stored, name):
    calltrack("accounts", "add", *RETREAVER)
    assert calltrack("accounts", "disable", name).exit_code == 0
    assert not stored("retreaver").is_active
    assert calltrack("accounts", "enable", name).exit_code == 0
    assert stored("retreaver").is_active


def test_a_name_that_does_not_say_enough_is_answered_with_the_choices(calltrack):
    for name in ("east", "west"):
        calltrack("accounts", "add", *RETREAVER, "--name", name)
    assert (
        "could be several accounts: retreaver/east, retreaver/west."
        in calltrack("accounts", "disable", "retreaver").stderr
    )
    assert (
        "no account 'south'. There are: retreaver/east, retreaver/west."
        in calltrack("accounts", "disable", "south").stderr
    )


def test_a_provider_s_name_means_its_default_account_among_several(calltrack, stored):
    for name in ("east", "default"):
        calltrack("accounts", "add", *RETREAVER, "--name", name)
    calltrack("accounts", "disable", "retreaver")
    assert (stored("retreaver", "east").is_active, stored("retreaver", "default").is_active) == (True, False)


def test_remove_asks_first(calltrack):
    calltrack("accounts", "add", *RETREAVER)
    refused = calltrack("accounts", "remove", "retreaver", typed="n\n")
    assert refused.exit_code == 1
    assert "retreaver/default and its 0 calls" in refused.stdout
    assert "retreaver/default" in calltrack("accounts", "list").stdout
    assert calltrack("accounts", "remove", "retreaver", "--yes").exit_code == 0
    assert "No accounts yet" in calltrack("accounts", "list").stdout


def test_check_says_what_is_wrong_and_fails(calltrack, stored):
    calltrack("accounts", "add", *RETREAVER, *NOBODY)
    result = calltrack("accounts", "check")
    client_for(stored("retreaver")).close()
    assert result.exit_code == 1
    assert "retreaver/default: The provider could not be reached." in result.stdout
    assert "plain-" not in result.output


def test_list_shows_the_breaker(calltrack, stored, broker, monkeypatch):
    calltrack("accounts", "add", *RETREAVER, "--webhook-secret", "plain-hook")
    account = stored("retreaver")
    breaker = Breaker(broker, str(account.id))

    def shown():
        return json.loads(calltrack("accounts", "list", "--json").stdout)["breaker"]

    def fails():
        raise ProviderFailed

    assert shown() == "closed"
    for _ in range(5):
        with pytest.raises(ProviderFailed):
            breaker.call(fails)
    assert shown().startswith("open for ")
    assert "breaker open" in " ".join(calltrack("accounts", "list").stdout.split())
    monkeypatch.setattr("calltrack.cli.accounts.breaker_of", lambda _: None)
    assert shown() == "unknown: Redis is away"
