import json
import stat

import pytest

from calltrack import config
from calltrack.accounts import add
from calltrack.cli.up import prepare
from calltrack.config import KEYS_FILE, keys_on_disk
from calltrack.db.credentials import Vault

OLD = "old:an-old-key-of-32-characters-or-longer"


@pytest.fixture
def account(calltrack, database):
    """Adds an account that is sealed with a key."""

    def make(key_id, secret):
        with database.begin() as conn:
            add(conn, Vault({key_id: secret}), "retreaver", name=key_id, values={"api_key": "plain", "company_id": "7"})

    return make


@pytest.fixture
def key_file(calltrack, settings_env, monkeypatch, account):
    """As with embedded servers: no variable but a key file, and an account that needs its only key."""
    monkeypatch.setenv("CALLTRACK_SECRET_KEYS", "")
    config.settings.cache_clear()
    home = settings_env().home
    (home / KEYS_FILE).write_text(f"k1:{'1' * 32}\n")
    config.settings.cache_clear()
    account("k1", "1" * 32)
    return home


def test_list_shows_keys_by_id_and_who_needs_them(calltrack, account, settings_env):
    account("test", settings_env().secret_keys["test"])
    (line,) = calltrack("credentials", "list", "--json").stdout.splitlines()
    assert json.loads(line) == {"key": "test", "role": "seals", "accounts": ["retreaver/test"]}
    account("gone", "g" * 32)
    listed = calltrack("credentials", "list")
    assert listed.exit_code == 1
    assert "'gone' is needed by retreaver/gone" in listed.stderr
    assert settings_env().secret_keys["test"] not in listed.output


def test_the_whole_way_of_a_new_key(calltrack, key_file):
    assert "k2" in calltrack("credentials", "add-key").stdout
    config.settings.cache_clear()
    assert list(keys_on_disk(key_file)) == ["k2", "k1"]
    assert stat.S_IMODE((key_file / KEYS_FILE).stat().st_mode) == 0o600
    refused = calltrack("credentials", "drop-key", "k1")
    assert (refused.exit_code, "still in use: retreaver/k1" in refused.stderr) == (1, True)
    done = calltrack("credentials", "rotate", "--retire", "k1", "--json", "--force")
    assert json.loads(done.stdout) == {"key": "k2", "resealed": 1, "left": 0, "failed": 0}
    assert "credentials drop-key k1" in done.stderr
    assert calltrack("credentials", "drop-key", "k1").exit_code == 0
    config.settings.cache_clear()
    assert list(keys_on_disk(key_file)) == ["k2"]
    assert calltrack("accounts", "update", "retreaver", "--rate-limit", "5/second").exit_code == 0
    recorded = [json.loads(line)["action"] for line in calltrack("audit", "list", "--json").stdout.splitlines()]
    assert recorded == ["account.changed", "key.dropped", "credentials.rotated", "key.added", "account.added"]


def test_an_id_never_comes_again(calltrack, key_file):
    """Backups still have rows that are sealed with the first key of this id."""
    for _ in range(2):
        calltrack("credentials", "add-key")
        config.settings.cache_clear()
    calltrack("credentials", "rotate", "--force")
    for key_id in ("k1", "k2"):
        assert calltrack("credentials", "drop-key", key_id).exit_code == 0
        config.settings.cache_clear()
    assert "k4" in calltrack("credentials", "add-key").stdout


@pytest.mark.parametrize(("key_id", "told"), [("k1", "There is a key 'k1' already"), ("a:b", "letters, digits")])
def test_ids_that_cannot_be_taken(calltrack, key_file, key_id, told):
    result = calltrack("credentials", "add-key", key_id)
    assert (result.exit_code, told in result.stderr) == (1, True)
    assert list(keys_on_disk(key_file)) == ["k1"]


def test_the_key_that_seals_is_not_dropped(calltrack, key_file):
    assert "the one that seals" in calltrack("credentials", "drop-key", "k1").stderr
    assert list(keys_on_disk(key_file)) == ["k1"]


def test_keys_of_the_variable_are_not_ours_to_change(calltrack):
    for words in (("add-key",), ("drop-key", "test")):
        assert "CALLTRACK_SECRET_KEYS" in calltrack("credentials", *words).stderr


def test_retiring_a_key_in_use_is_refused(calltrack, account, monkeypatch, settings_env):
    """An account that cannot be sealed anew still needs it."""
    account("old", OLD.partition(":")[2])
    monkeypatch.setenv("CALLTRACK_SECRET_KEYS", f"new:{'n' * 32},old:{'wrong' * 8}")
    config.settings.cache_clear()
    result = calltrack("credentials", "rotate", "--force", "--retire", "old")
    assert result.exit_code == 1
    assert "still in use" in result.stderr


def test_workers_without_the_key_are_not_left_behind(calltrack, account, monkeypatch):
    """They could not open the account any more."""
    monkeypatch.setattr("tasks.workers_without", lambda key_id: [f"fetch@host ({key_id})"])
    account("old", OLD.partition(":")[2])
    result = calltrack("credentials", "rotate")
    assert result.exit_code == 1
    assert "fetch@host (test)" in result.stderr
    assert '"role": "missing"' in calltrack("credentials", "list", "--json").stdout


def test_starting_names_the_accounts_that_no_key_opens(account, settings_env, capsys):
    account("gone", "g" * 32)
    prepare(settings_env())
    assert "retreaver/gone need 'gone'" in capsys.readouterr().out


def test_doctor_names_the_accounts_that_no_key_opens(calltrack, account):
    account("gone", "g" * 32)
    calltrack("accounts", "disable", "retreaver")
    told = calltrack("doctor")
    assert told.exit_code == 1
    assert "retreaver/gone need 'gone'" in told.stdout
