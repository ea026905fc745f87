"""Accounts from the environment, in real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from calltrack.accounts import add, seed
from calltrack.config import resolve
from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.db.tables import provider_configs
from calltrack.errors import FixConfiguration

KEYS = {"CALLTRACK_SECRET_KEYS": "one:" + "1" * 32}
RETREAVER = {"RETREAVER_API_KEY": "r-key", "RETREAVER_COMPANY_ID": "7", "RETREAVER_WEBHOOK_SECRET": "r-hook"}
CONVOSO = {"CONVOSO_AUTH_TOKEN": "c-token", "CONVOSO_TIMEZONE": "America/New_York", "CONVOSO_WEBHOOK_SECRET": "c-hook"}


@pytest.fixture
def conn(database):
    with database.connect() as connection:
        yield connection


@pytest.fixture
def vault():
    return Vault({"one": "1" * 32})


@pytest.fixture
def sow(conn, tmp_path):
    """Seeds from these variables; gives {account: outcome}."""

    def run(*variables):
        environ = {key: value for some in (KEYS, *variables) for key, value in some.items()}
        seeded = seed(conn, resolve({**environ, "CALLTRACK_HOME": str(tmp_path)}))
        return {one.account.label: one.outcome for one in seeded}

    return run


def test_variables_become_accounts(conn, vault, sow):
    assert sow(RETREAVER, CONVOSO) == {"convoso/default": "added", "retreaver/default": "added"}
    convoso, retreaver = accounts.all(conn, vault)
    assert retreaver.credentials == {"api_key": "r-key", "company_id": "7"}
    assert retreaver.webhook_secrets == ("r-hook",)
    assert convoso.credentials == {"auth_token": "c-token", "timezone": "America/New_York"}
    assert convoso.api_url == "https://api.convoso.com/v1"
    assert convoso.next_full_at is not None


def test_doing_it_again_changes_nothing(conn, sow):
    sow(RETREAVER, CONVOSO)
    rows = conn.execute(select(provider_configs)).all()
    assert set(sow(RETREAVER, CONVOSO).values()) == {"as it was"}
    assert conn.execute(select(provider_configs)).all() == rows


def test_without_variables_nothing_is_added_and_no_account_is_opened(conn, sow):
    add(conn, Vault({"lost": "0" * 32}), "retreaver", values={"api_key": "k"})
    assert sow() == {}


def test_variables_that_are_not_about_credentials_make_no_account(sow):
    """As a copied .env.example leaves them."""
    assert sow({"CONVOSO_BASE_URL": "https://api.convoso.com/v1/", "CONVOSO_MAX_RETRIES": "3"}) == {}


def test_a_new_value_of_a_variable_replaces_the_old_one(conn, vault, sow):
    sow(RETREAVER)
    changed = {"RETREAVER_API_KEY": "new", "RETREAVER_WEBHOOK_SECRET": "newer r-hook", "RETREAVER_API_URL": "http://h/"}
    assert sow(RETREAVER, changed) == {"retreaver/default": "changed"}
    account = accounts.find(conn, vault, "retreaver")
    assert account.secrets == {"api_key": "new"}
    assert account.webhook_secrets == ("newer", "r-hook")
    assert account.api_url == "http://h"


def test_what_was_set_by_hand_stays(conn, vault, sow):
    by_hand = add(
        conn,
        vault,
        "retreaver",
        values={"api_key": "hand", "company_id": "hand", "dialect": "v1"},
        api_url="http://hand",
        webhook_secrets=["hand"],
        rate_limits=["9/minute"],
    ).account
    other = add(conn, vault, "retreaver", name="other", values={"api_key": "other"}).account
    sow({"RETREAVER_API_KEY": "environment"})
    account = accounts.get(conn, vault, by_hand.id)
    assert account.credentials == {"api_key": "environment", "company_id": "hand", "dialect": "v1"}
    assert (account.api_url, account.webhook_secrets, account.rate_limits) == ("http://hand", ("hand",), ("9/minute",))
    assert account.next_full_at == by_hand.next_full_at
    assert accounts.get(conn, vault, other.id) == other


def test_retry_settings_are_kept_in_seconds(conn, vault, sow):
    sow(CONVOSO, {"CONVOSO_MAX_RETRIES": "5", "CONVOSO_RETRY_DELAY_MS": "1500"})
    settings = accounts.find(conn, vault, "convoso").settings
    assert (settings["max_retries"], settings["retry_delay"]) == ("5", "1.5")


@pytest.mark.parametrize("word", ["false", "0", "No", " off "])
def test_polling_can_be_switched_off_and_on(conn, vault, sow, word):
    sow(CONVOSO, {"CONVOSO_POLLING_ENABLED": word})
    account = accounts.find(conn, vault, "convoso")
    assert account.is_active
    assert account.next_full_at is account.next_incremental_at is None
    assert sow(CONVOSO, {"CONVOSO_POLLING_ENABLED": "true"}) == {"convoso/default": "changed"}
    due = accounts.find(conn, vault, "convoso").next_incremental_at
    assert timedelta(minutes=14) < due - datetime.now(UTC) < timedelta(minutes=16)
    assert sow(CONVOSO, {"CONVOSO_POLLING_ENABLED": word}) == {"convoso/default": "changed"}
    assert accounts.find(conn, vault, "convoso").next_incremental_at is None


def test_the_faults_of_all_providers_are_told_at_once_and_nothing_is_quoted(conn, sow):
    wrong = {"CONVOSO_AUTH_TOKEN": "c-token", "RETREAVER_API_KEY": "r-key", "RETREAVER_API_URL": "https://r-key@host"}
    with pytest.raises(FixConfiguration) as fault:
        sow(wrong)
    assert "Convoso account in the environment: timezone: missing" in fault.value.message
    assert "Its variables: CONVOSO_AUTH_TOKEN, CONVOSO_TIMEZONE" in fault.value.message
    assert "Retreaver account in the environment: api_url: write it without" in fault.value.message
    assert "r-key" not in fault.value.message
    assert "c-token" not in fault.value.message
    assert accounts.overview(conn) == []


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ({"CONVOSO_POLLING_ENABLED": "perhaps"}, "enabled must be true or false"),
        ({"CONVOSO_RETRY_DELAY_MS": "1s"}, "retry_delay must be a whole number of milliseconds"),
        ({"CONVOSO_MAX_RETRIES": "none"}, "max_retries: 'none' does not fit"),
    ],
)
def test_a_wrong_variable_is_told(sow, variable, told):
    with pytest.raises(FixConfiguration, match=told):
        sow(CONVOSO, variable)


def test_seeding_needs_a_key(conn, tmp_path):
    with pytest.raises(FixConfiguration, match="CALLTRACK_SECRET_KEYS"):
        seed(conn, resolve({**RETREAVER, "CALLTRACK_HOME": str(tmp_path)}))
