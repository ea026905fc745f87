"""What Prometheus reads: true figures, of every account, and no secret; with a server away, what is left."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from calltrack.cli import calltrack
from calltrack.client.breaker import Breaker
from calltrack.config import settings
from calltrack.errors import ProviderFailed
from calltrack.sync import deliveries
from calltrack.sync.connections import valkey


def told(code=0):
    done = CliRunner().invoke(calltrack, ("metrics",))
    assert done.exit_code == code, done.output
    return read(done.stdout)


def read(shown):
    families = text_string_to_metric_families(shown)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_an_empty_system_has_figures(database, broker, settings_env):
    found = told()
    assert found["calltrack_up", "postgres"] == found["calltrack_up", "redis"] == 1
    assert found["calltrack_messages_waiting", "control"] == 0
    assert found["calltrack_spool_deliveries",] == 0


def test_the_figures_are_those_of_the_system(system):
    world = system(records=30, habits="blank_ids=0.1")
    world.sync("retreaver")
    world.deliver(call_uuid="c1")
    world.deliver(caller_number="+15550100001")
    deliveries.process("retreaver")
    world.deliver(call_uuid="c2")
    world.execute("UPDATE provider_configs SET is_active = false, health = 'Broken.' WHERE provider_type = 'convoso'")
    valkey().lpush("retreaver.store", "one", "two")
    found = told()
    here = ("default", "retreaver")
    assert found["calltrack_calls_synced_total", *here] == 30
    assert (
        found["calltrack_records_rejected", "no_id", "retreaver"] == len(world.sim.provider("retreaver").rejected()) + 1
    )
    assert found["calltrack_deliveries_waiting", "retreaver"] == 1
    assert found["calltrack_deliveries_total", *here] == 2
    assert found["calltrack_deliveries_dead", "default", "rejected", "retreaver"] == 1
    assert 0 <= found["calltrack_synced_age_seconds", *here] < 600
    assert found["calltrack_account_active", "default", "live", "retreaver"] == 1
    assert found["calltrack_account_active", "convoso", "default", "live"] == 0
    assert found["calltrack_account_faults", "convoso", "default"] == 1
    assert found["calltrack_messages_waiting", "retreaver.store"] == 2


def test_an_account_that_was_never_synced_grows_old(system):
    world = system(records=0)
    world.execute("UPDATE provider_configs SET created_at = now() - interval '1 hour' WHERE provider_type = 'convoso'")
    world.sync("retreaver")
    found = told()
    assert found["calltrack_synced_age_seconds", "convoso", "default"] >= 3600
    assert ("calltrack_sync_age_seconds", "any", "convoso", "default") not in found
    assert 0 <= found["calltrack_sync_age_seconds", "any", "default", "retreaver"] < 600
    assert 0 <= found["calltrack_sync_age_seconds", "default", "full", "retreaver"] < 600


def test_what_the_spool_holds_shows(database, broker, settings_env):
    folder = settings().spool_dir
    folder.mkdir()
    (folder / "one.delivery").write_bytes(b"12345")
    (folder / "two.new").write_bytes(b"not yet")
    found = told()
    assert (found["calltrack_spool_deliveries",], found["calltrack_spool_bytes",]) == (1, 5)


def test_a_page_that_waits_and_one_that_failed_show(system):
    world = system(records=30)
    world.sync("retreaver")
    world.execute("UPDATE sync_pages SET state = 'failed'")
    assert told()["calltrack_pages_failed", "retreaver"] > 0
    world.execute("UPDATE sync_pages SET state = 'pending', next_attempt_at = now() - interval '1 hour'")
    found = told()
    assert 3600 <= found["calltrack_pages_overdue_seconds", "retreaver"] < 4200
    assert ("calltrack_pages_failed", "retreaver") not in found


def test_a_breaker_that_may_be_probed_is_half_open(system):
    world = system(records=0)
    valkey().set(f"calltrack:breaker:{world.account_id()}:pybreaker:state", "half-open")
    assert told()["calltrack_breaker_open", "default", "retreaver"] == 0.5


def test_an_open_breaker_shows(system):
    world = system(records=0)

    def fail():
        raise ProviderFailed

    breaker = Breaker(valkey(), str(world.account_id()))
    for failures in (1, 2, 3, 4, 5):
        with pytest.raises(ProviderFailed):
            breaker.call(fail)
        found = told()
        assert found["calltrack_breaker_open", "default", "retreaver"] == (failures == 5)
    assert found["calltrack_breaker_open", "convoso", "default"] == 0


def test_no_secret_is_a_label(system):
    system(records=3)
    shown = CliRunner().invoke(calltrack, ("metrics",)).stdout
    for secret in ("a-secret-of-the-test", "127.0.0.1", "http"):
        assert secret not in shown


def command(*arguments, **variables):
    """The command in a process of its own."""
    environment = {**os.environ, **settings().variables, **variables}
    program = [Path(sys.executable).with_name("calltrack"), "metrics", *arguments]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("away", ["REDIS_URL", "DATABASE_URL"])
def test_with_a_server_away_the_rest_is_told(system, away):
    system(records=0)
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    done = command(**{away: nowhere[away], "CELERY_BROKER_URL": ""})
    assert done.returncode == 1, done.stderr
    found = read(done.stdout)
    part, other = ("redis", "postgres") if away == "REDIS_URL" else ("postgres", "redis")
    assert (found["calltrack_up", part], found["calltrack_up", other]) == (0, 1)
    assert (("calltrack_messages_waiting", "control") in found) == (part == "postgres")


def test_the_broker_does_not_speak_for_a_redis_that_is_away(system):
    system(records=0)
    done = command(REDIS_URL="redis://127.0.0.1:1/0", CELERY_BROKER_URL=settings().redis_url)
    found = read(done.stdout)
    assert (found["calltrack_up", "redis"], found["calltrack_up", "broker"]) == (0, 1)
    assert done.returncode == 1


def test_without_tables_it_says_so(system, postgres):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
        bare = f"{postgres.url.rpartition('/')[0]}/bare"
        try:
            done = command(DATABASE_URL=bare)
        finally:
            connection.execute("DROP DATABASE bare WITH (FORCE)")
    assert read(done.stdout)["calltrack_up", "postgres"] == 0, done.stderr
    assert done.returncode == 1
    assert "UndefinedTable" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_locked_table_keeps_nobody_waiting(system):
    world = system(records=0)
    with world.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE")
        done = command()
    found = read(done.stdout)
    assert (found["calltrack_up", "postgres"], found["calltrack_up", "redis"]) == (0, 1)
    assert done.returncode == 1


def test_a_port_that_is_taken_is_one_sentence_and_comes_from_the_env_file(system, tmp_path, monkeypatch):
    system(records=0)
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / ".env").write_text(f"METRICS_PORT={port}\n")
        done = command("--serve")
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_prometheus_can_ask(system):
    system(records=0)
    program = [Path(sys.executable).with_name("calltrack"), "metrics", "--serve", "--port", "0"]
    environment = {**os.environ, **settings().variables}
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True) as serving:
        try:
            url = serving.stderr.readline().strip()
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert read(answer.read().decode())["calltrack_up", "postgres"] == 1
        finally:
            serving.terminate()
