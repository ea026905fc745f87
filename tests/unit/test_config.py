import json
from pathlib import Path

import pytest

from calltrack.config import KEYS_FILE, SERVERS_FILE, SERVERS_LOCK, load, resolve
from calltrack.embedded.lock import Lock
from calltrack.errors import FixConfiguration

SECRET = "a-secret-of-thirty-two-characters"
POSTGRES = "postgresql://calltrack:pw@127.0.0.1:21000/calltrack"
VALKEY = "redis://:pw@127.0.0.1:21001/0"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def running(home: Path):
    """As if another process ran the servers of this home."""
    lock = Lock(home / SERVERS_LOCK)
    assert lock.take()
    (home / SERVERS_FILE).write_text(json.dumps({"DATABASE_URL": POSTGRES, "REDIS_URL": VALKEY, "pid": 1}))
    yield lock
    lock.release()


def found(home: Path, **env: str):
    return resolve({"CALLTRACK_HOME": str(home), **env})


def test_an_environment_variable_wins_over_dotenv(tmp_path):
    (tmp_path / ".env").write_text("PORT=9001\nFLOWER_PORT=9002\n")
    settings = load({"PORT": "9003"}, tmp_path)
    assert (settings.port, settings.flower_port) == (9003, 9002)


def test_an_empty_variable_hides_what_dotenv_says(tmp_path):
    (tmp_path / ".env").write_text(f"DATABASE_URL={POSTGRES}\n")
    assert load({}, tmp_path).database_url == POSTGRES
    assert load({"DATABASE_URL": ""}, tmp_path).database_url is None


def test_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load({})
    assert (settings.port, settings.flower_port, settings.home) == (8000, 5555, tmp_path / ".calltrack")
    assert settings.database_url is settings.redis_url is settings.broker_url is None
    assert settings.secret_keys == {}


def test_the_home_may_start_with_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert resolve({"CALLTRACK_HOME": "~/calls"}).home == Path("/home/somebody/calls")


def test_the_broker_is_redis_unless_it_is_named(home):
    assert found(home, REDIS_URL=VALKEY).broker_url == VALKEY
    assert found(home, REDIS_URL=VALKEY, CELERY_BROKER_URL="amqp://rabbit").broker_url == "amqp://rabbit"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_database_url_is_made_one_that_psql_understands(home, scheme):
    assert found(home, DATABASE_URL=f"{scheme}://u:p@h/d").database_url == "postgresql://u:p@h/d"


def test_all_faults_are_told_at_once_and_no_secret_with_them(home):
    with pytest.raises(FixConfiguration) as told:
        found(
            home,
            DATABASE_URL="mysql://user:hunter2@host/db",
            REDIS_URL="localhost:6379/hunter2",
            PORT="eighty",
            FLOWER_PORT="65536",
            CALLTRACK_SECRET_KEYS="k1:hunter2",
            CALLTRACK_LOG="xml",
        )
    for name in ("DATABASE_URL", "REDIS_URL", "'eighty'", "FLOWER_PORT", "CALLTRACK_SECRET_KEYS", "CALLTRACK_LOG"):
        assert name in told.value.message
    assert "hunter2" not in told.value.message


@pytest.mark.parametrize("port", ["0", "-1", "65536", "8000.5"])
def test_ports_that_are_none(home, port):
    with pytest.raises(FixConfiguration, match="PORT must be a port number"):
        found(home, PORT=port)


def test_keys_stay_in_their_order(home):
    keys = found(home, CALLTRACK_SECRET_KEYS=f"new:{SECRET}, old:{SECRET}:with:colons").secret_keys
    assert list(keys.items()) == [("new", SECRET), ("old", f"{SECRET}:with:colons")]


def test_a_key_may_be_named_by_its_date(home):
    assert list(found(home, CALLTRACK_SECRET_KEYS=f"2026-11:{SECRET}").secret_keys) == ["2026-11"]


@pytest.mark.parametrize("keys", ["nocolon", f":{SECRET}", "k1:short", f"a b:{SECRET}", f"k1:{SECRET},k1:{SECRET}2"])
def test_keys_that_cannot_be_used(home, keys):
    with pytest.raises(FixConfiguration, match="CALLTRACK_SECRET_KEYS") as told:
        found(home, CALLTRACK_SECRET_KEYS=keys)
    assert SECRET not in told.value.message


def test_settings_can_be_printed_without_their_secrets(home):
    settings = found(home, DATABASE_URL=POSTGRES, REDIS_URL=VALKEY, CALLTRACK_SECRET_KEYS=f"k1:{SECRET}")
    assert ":pw@" not in repr(settings)
    assert SECRET not in repr(settings)


def test_the_key_file_stands_in_for_the_variable(home):
    (home / KEYS_FILE).write_text(f"file:{SECRET}\n")
    assert found(home).secret_keys == {"file": SECRET}
    assert found(home, CALLTRACK_SECRET_KEYS=f"set:{SECRET}").secret_keys == {"set": SECRET}


def test_running_servers_are_found(home, running):
    settings = found(home)
    assert (settings.database_url, settings.redis_url, settings.broker_url) == (POSTGRES, VALKEY, VALKEY)


def test_a_named_server_wins_over_a_running_one(home, running):
    assert found(home, DATABASE_URL="postgresql://mine/db").database_url == "postgresql://mine/db"


def test_what_a_dead_owner_left_is_not_taken_for_running_servers(home, running):
    running.release()
    assert found(home).database_url is None


def test_looking_does_not_keep_others_from_the_lock(home, running):
    running.release()
    found(home)
    assert running.take()


@pytest.mark.parametrize("text", ["", "{", '"text'])
def test_a_spoilt_state_file_is_told(home, running, text):
    (home / SERVERS_FILE).write_text(text)
    with pytest.raises(FixConfiguration, match=r"servers\.json cannot be read"):
        found(home)


def test_needs_names_everything_that_is_missing(home):
    with pytest.raises(FixConfiguration) as told:
        found(home, REDIS_URL=VALKEY).needs("database_url", "redis_url", "secret_keys")
    assert "DATABASE_URL" in told.value.message
    assert "CALLTRACK_SECRET_KEYS" in told.value.message
    assert "REDIS_URL" not in told.value.message


def test_another_process_sees_the_same_through_the_variables(home, running):
    (home / KEYS_FILE).write_text(f"a:{SECRET},b:{SECRET}2")
    settings = found(home, PORT="9000")
    assert resolve(settings.variables).variables == settings.variables
    assert settings.variables["CALLTRACK_SECRET_KEYS"] == f"a:{SECRET},b:{SECRET}2"


def test_a_key_file_that_cannot_be_read_is_told(home):
    (home / KEYS_FILE).mkdir()
    with pytest.raises(FixConfiguration, match="secret_keys cannot be read"):
        found(home)


def test_trusted_proxies(home):
    assert found(home).trusted_proxies == ()
    given = found(home, CALLTRACK_TRUSTED_PROXIES="10.0.0.0/8, 2001:db8::7").trusted_proxies
    assert list(map(str, given)) == ["10.0.0.0/8", "2001:db8::7/128"]
    for wrong in ("10.0.0.1/8", "*", "proxy.example.com"):
        with pytest.raises(FixConfiguration, match="CALLTRACK_TRUSTED_PROXIES must be a list of networks"):
            found(home, CALLTRACK_TRUSTED_PROXIES=wrong)


def test_the_ladder_of_the_ledger_is_read_shortest_first_and_a_wrong_one_is_named():
    hours = [after.total_seconds() / 3600 for after in resolve({}).recheck_after]
    assert hours == [1, 6, 24, 72, 168, 720]
    assert [after.total_seconds() for after in resolve({"CALLTRACK_RECHECK_AFTER": "2h, 30m"}).recheck_after] == [
        1800,
        7200,
    ]
    with pytest.raises(FixConfiguration, match="CALLTRACK_RECHECK_AFTER must be a list of times, as 1h,6h"):
        resolve({"CALLTRACK_RECHECK_AFTER": "soon"})


def test_how_long_what_is_kept():
    assert resolve({}).retention == {}
    found = resolve({"CALLTRACK_RETENTION_PAGES": "90d", "CALLTRACK_RETENTION_EVENTS": "48h"})
    assert {kind: age.days for kind, age in found.retention.items()} == {"pages": 90, "events": 2}
    assert resolve(found.variables).retention == found.retention  # as another process gets it
    for wrong in ("soon", "90", "23h"):
        with pytest.raises(FixConfiguration, match="CALLTRACK_RETENTION_PAGES must be a time of a day or more"):
            resolve({"CALLTRACK_RETENTION_PAGES": wrong})
