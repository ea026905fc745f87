"""Accounts in real Postgres: what is kept, who is found, and that no secret lies about."""

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from calltrack import accounts as library
from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.db.tables import calls, provider_configs
from calltrack.errors import FixConfiguration, UnknownDoor

SECRETS = {"api_key": "plain-api-key"}


@pytest.fixture
def vault():
    return Vault({"one": "1" * 32})


@pytest.fixture
def conn(database):
    with database.connect() as connection:
        yield connection


def insert(conn, vault, provider="retreaver", name="default", **given):
    values = {
        "api_url": "https://api.example.com",
        "secrets": SECRETS,
        "webhook_secrets": ["plain-webhook-secret"],
        "settings": {"company_id": "7"},
        **given,
    }
    return accounts.insert(conn, vault, provider=provider, name=name, **values)


def add(conn, vault, **given):
    values = {"api_key": "plain-api-key", "company_id": "7"}
    return library.add(conn, vault, "retreaver", **{"values": values, **given})


def test_an_account_comes_back_as_it_was_put_in(conn, vault):
    account = accounts.get(conn, vault, insert(conn, vault, rate_limits=["5/second"]))
    assert account.label == "retreaver/default"
    assert account.api_url == "https://api.example.com"
    assert account.secrets == SECRETS
    assert account.settings == {"company_id": "7"}
    assert account.credentials == {"api_key": "plain-api-key", "company_id": "7"}
    assert account.webhook_secrets == ("plain-webhook-secret",)
    assert account.rate_limits == ("5/second",)
    assert account.is_active
    assert (account.full_sync_at, account.incremental_every) == (time(2), timedelta(minutes=15))
    assert account.health is account.blocked_until is account.next_full_at is None


def test_no_secret_is_in_the_table_in_plain_text(conn, vault):
    insert(conn, vault)
    dump = conn.scalar(text("SELECT string_agg(provider_configs::text, '') FROM provider_configs"))
    assert "company_id" in dump
    assert "plain-" not in dump
    assert "plain-" not in str(accounts.overview(conn))


def test_no_secret_is_in_the_repr(conn, vault):
    assert "plain-" not in repr(accounts.get(conn, vault, insert(conn, vault)))
    assert "plain-" not in repr(add(conn, vault, name="second"))


def test_credentials_copied_to_another_row_do_not_open(conn, vault):
    mine, yours = insert(conn, vault), insert(conn, vault, name="yours")
    stolen = conn.scalar(select(provider_configs.c.credentials).where(provider_configs.c.id == yours))
    conn.execute(provider_configs.update().where(provider_configs.c.id == mine).values(credentials=stolen))
    with pytest.raises(FixConfiguration, match="do not open"):
        accounts.get(conn, vault, mine)
    assert accounts.get(conn, vault, yours).secrets == SECRETS


def test_a_second_account_of_the_same_name_is_refused_and_the_transaction_goes_on(conn, vault):
    insert(conn, vault)
    with pytest.raises(FixConfiguration, match="accounts update retreaver/default"):
        insert(conn, vault)
    insert(conn, vault, name="second")
    assert [account.name for account in accounts.all(conn, vault)] == ["default", "second"]


def test_without_a_name_the_only_account_is_meant(conn, vault):
    only = insert(conn, vault, name="eastern")
    assert accounts.find(conn, vault, "retreaver").id == only
    assert accounts.find(conn, vault, "retreaver", "eastern").id == only


def test_without_a_name_default_is_meant_among_several(conn, vault):
    insert(conn, vault, name="eastern")
    with_default = insert(conn, vault)
    assert accounts.find(conn, vault, "retreaver").id == with_default


@pytest.mark.parametrize(("provider", "name"), [("retreaver", None), ("retreaver", "western"), ("nobody", None)])
def test_whoever_is_not_there_is_not_found(conn, vault, provider, name):
    insert(conn, vault, name="eastern")
    insert(conn, vault, name="northern")
    with pytest.raises(UnknownDoor):
        accounts.find(conn, vault, provider, name)


def test_an_unknown_id_is_not_found(conn, vault):
    with pytest.raises(UnknownDoor):
        accounts.get(conn, vault, uuid4())


def test_lists_and_switches_work_while_the_key_is_lost(conn, vault):
    account_id = insert(conn, vault)
    other = Vault({"two": "2" * 32})
    with pytest.raises(FixConfiguration, match="key 'one'"):
        accounts.find(conn, other, "retreaver")
    accounts.set_active(conn, accounts.find_id(conn, "retreaver"), active=False)
    assert [(row.id, row.is_active) for row in accounts.overview(conn)] == [(account_id, False)]
    accounts.remove(conn, account_id)
    assert accounts.overview(conn) == []


def test_removing_an_account_removes_its_calls_and_nobody_else_s(conn, vault):
    mine, yours = insert(conn, vault), insert(conn, vault, name="yours")
    for account_id in (mine, yours):
        row = {"id": uuid4(), "account_id": account_id, "provider": "retreaver", "external_id": "1"}
        conn.execute(calls.insert().values(**row))
    accounts.remove(conn, mine)
    assert conn.scalars(select(calls.c.account_id)).all() == [yours]


def test_a_new_account_s_syncs_are_due_later_not_at_once(conn, vault):
    before = datetime.now(UTC)
    account = add(conn, vault).account
    assert account.next_full_at.time() == time(2)
    assert before < account.next_full_at <= before + timedelta(days=1, seconds=5)
    assert timedelta(minutes=14) < account.next_incremental_at - before < timedelta(minutes=16)


def test_an_account_can_be_added_without_scheduled_syncs(conn, vault):
    account = add(conn, vault, scheduled=False).account
    assert account.next_full_at is account.next_incremental_at is None


def test_secret_settings_are_sealed_and_the_others_are_not(conn, vault):
    account = add(conn, vault).account
    assert account.secrets == {"api_key": "plain-api-key"}
    assert account.settings == {"company_id": "7"}


def test_the_api_url_is_the_provider_s_unless_given(conn, vault):
    assert add(conn, vault).account.api_url == "https://api.retreaver.com"
    assert add(conn, vault, name="b", api_url="http://127.0.0.1:1/").account.api_url == "http://127.0.0.1:1"


def test_a_webhook_secret_is_made_where_none_is_given(conn, vault):
    first, second = add(conn, vault), add(conn, vault, name="second")
    assert first.account.webhook_secrets == (first.made_secret,)
    assert len(first.made_secret) >= 32
    assert first.made_secret != second.made_secret
    given = add(conn, vault, name="third", webhook_secrets=["mine", "my old one"])
    assert given.made_secret is None
    assert given.account.webhook_secrets == ("mine", "my old one")


def test_an_unknown_provider_is_answered_with_the_known_ones(conn, vault):
    with pytest.raises(UnknownDoor, match="convoso, retreaver"):
        library.add(conn, vault, "nobody", values={})


def test_a_change_leaves_the_rest_as_it_was(conn, vault):
    account = add(conn, vault, webhook_secrets=["w"], rate_limits=["5/second"]).account
    accounts.set_health(conn, account.id, "The provider refused the account's credentials.")
    assert library.change(conn, vault, account, values={"api_key": "another"}).differs
    changed = accounts.get(conn, vault, account.id)
    assert changed.secrets == {"api_key": "another"}
    assert changed.health is None
    assert (changed.settings, changed.webhook_secrets, changed.rate_limits, changed.next_full_at) == (
        account.settings,
        account.webhook_secrets,
        account.rate_limits,
        account.next_full_at,
    )


def test_a_change_to_the_same_writes_nothing(conn, vault):
    account = add(conn, vault).account
    sealed = conn.scalar(select(provider_configs.c.credentials))
    assert not library.change(conn, vault, account, values={"api_key": "plain-api-key", "company_id": "7"}).differs
    assert conn.scalar(select(provider_configs.c.credentials)) == sealed


def test_a_change_is_checked_as_a_whole_and_nothing_wrong_is_written(conn, vault):
    account = add(conn, vault).account
    with pytest.raises(FixConfiguration, match="dialect: 'v9'"):
        library.change(conn, vault, account, values={"dialect": "v9"})
    assert accounts.get(conn, vault, account.id) == account


def test_a_setting_that_the_provider_no_longer_has_goes_with_the_next_change(conn, vault):
    account_id = insert(conn, vault, settings={"company_id": "7", "gone": "since last year"})
    library.change(conn, vault, accounts.get(conn, vault, account_id), values={})
    assert accounts.get(conn, vault, account_id).settings == {"company_id": "7"}


def test_an_account_whose_key_is_lost_is_given_its_secrets_again(conn, vault):
    account_id = add(conn, Vault({"lost": "0" * 32})).account.id
    account = accounts.get_unopened(conn, account_id)
    with pytest.raises(FixConfiguration, match="api_key: missing"):
        library.change(conn, vault, account, values={"company_id": "8"})
    changed = library.change(conn, vault, account, values={"api_key": "another"})
    entered = accounts.get(conn, vault, account_id)
    assert entered.credentials == {"api_key": "another", "company_id": "7"}
    assert entered.webhook_secrets == (changed.made_secret,)


def test_a_mapping_learns_the_settings_and_no_secret(conn, vault):
    assert library.context(add(conn, vault).account).settings == {"company_id": "7"}
