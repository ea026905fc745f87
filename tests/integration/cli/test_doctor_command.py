from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from calltrack import config
from calltrack.db import session
from calltrack.db.session import connect

CLOSED = "127.0.0.1:1"


@pytest.fixture
def setenv(monkeypatch):
    """Another environment, as if the process had been started with it."""

    def change(name, value):
        monkeypatch.setenv(name, value)
        if session.engine.cache_info().currsize:
            session.engine().dispose()
        session.engine.cache_clear()
        config.settings.cache_clear()

    return change


def lines(result):
    return {line.split()[1]: line for line in result.stdout.splitlines()}


def test_all_is_well(calltrack):
    result = calltrack("doctor")
    assert result.exit_code == 0
    assert list(lines(result)) == ["settings", "keys", "redis", "broker", "database", "schema", "accounts"]
    assert "✗" not in result.stdout
    assert "accounts add PROVIDER" in result.stdout


def test_settings_that_cannot_be_read_end_the_examination(calltrack, setenv):
    setenv("PORT", "http")
    result = calltrack("doctor")
    assert result.exit_code == 1
    assert lines(result)["settings"].startswith("✗")
    assert "PORT must be a port number" in result.stdout
    assert len(lines(result)) == 1


def test_a_database_that_is_away_is_told_and_the_rest_is_examined(calltrack, setenv):
    setenv("DATABASE_URL", f"postgresql://user:plain-password@{CLOSED}/db")
    result = calltrack("doctor")
    assert result.exit_code == 1
    assert "The database does not answer" in lines(result)["database"]
    assert "Check DATABASE_URL" in lines(result)["database"]
    assert lines(result)["redis"].startswith("✓")
    assert "schema" not in lines(result)
    assert "plain-password" not in result.output


def test_redis_that_is_away_is_told_for_both_its_uses(calltrack, setenv):
    setenv("REDIS_URL", f"redis://:plain-password@{CLOSED}/0")
    result = calltrack("doctor")
    assert result.exit_code == 1
    assert "check REDIS_URL" in lines(result)["redis"]
    assert "check CELERY_BROKER_URL" in lines(result)["broker"]
    assert lines(result)["schema"].startswith("✓")
    assert "plain-password" not in result.output


def test_redis_that_may_drop_messages_is_told(calltrack, broker):
    broker.config_set("maxmemory-policy", "allkeys-lru")
    try:
        result = calltrack("doctor")
    finally:
        broker.config_set("maxmemory-policy", "noeviction")
    assert "set its maxmemory-policy to noeviction (it is allkeys-lru)" in lines(result)["redis"]
    assert result.exit_code == 1


def test_a_missing_key_is_told(calltrack, setenv):
    setenv("CALLTRACK_SECRET_KEYS", "")
    assert "set CALLTRACK_SECRET_KEYS" in lines(calltrack("doctor"))["keys"]


def test_an_empty_database_is_told_to_be_upgraded(calltrack, setenv, postgres):
    name = f"not_migrated_{uuid4().hex}"
    server = connect(postgres.url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    setenv("DATABASE_URL", make_url(postgres.url).set(database=name).render_as_string(hide_password=False))
    examined, listed = calltrack("doctor"), calltrack("accounts", "list")
    checked, upgraded, again = calltrack("db", "check"), calltrack("db", "upgrade"), calltrack("db", "check")
    assert "run `calltrack db upgrade`" in lines(examined)["schema"]
    assert (examined.exit_code, checked.exit_code, again.exit_code) == (1, 1, 0)
    assert "run `calltrack db upgrade`" in listed.stderr
    assert "lacks 001_calls" in checked.stderr
    assert "done: 001_calls\n" in upgraded.stdout


def test_an_account_is_asked_unless_it_is_disabled(calltrack):
    calltrack("accounts", "add", "retreaver", "--set", "api_key=plain-key", "--api-url", f"http://{CLOSED}")
    asked = calltrack("doctor")
    assert asked.exit_code == 1
    assert "could not be reached" in lines(asked)["retreaver/default"]
    calltrack("accounts", "disable", "retreaver")
    assert "disabled" in lines(calltrack("doctor"))["retreaver/default"]


def test_an_account_whose_key_is_lost_is_told(calltrack, setenv):
    calltrack("accounts", "add", "retreaver", "--set", "api_key=plain-key", "--api-url", f"http://{CLOSED}")
    setenv("CALLTRACK_SECRET_KEYS", "another:" + "x" * 32)
    result = calltrack("doctor")
    assert result.exit_code == 1
    assert "sealed with key 'test'" in lines(result)["retreaver/default"]
    mended = calltrack("accounts", "update", "retreaver", "--set", "api_key=plain-key")
    assert "with this secret" in mended.stdout
    assert "sealed" not in calltrack("doctor").stdout
