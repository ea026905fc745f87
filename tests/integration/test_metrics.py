"""What Prometheus reads: true figures, of every account, and no secret; with a server away, what is left."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from calltrack.cli import calltrack
from calltrack.client.breaker import Breaker
from calltrack.config import settings
from calltrack.errors import ProviderFailed
from calltrack.sync import deliveries
from calltrack.sync.connections import valkey
from tests.integration.test_remap import account_id, deliver


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
    deliver(world, call_uuid="c1")
    deliver(world, caller_number="+15550100001")
    deliveries.process("retreaver")
    deliver(world, call_uuid="c2")
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


def test_an_open_breaker_shows(system):
    world = system(records=0)

    def fail():
        raise ProviderFailed

    breaker = Breaker(valkey(), str(account_id(world)))
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


@pytest.mark.parametrize("away", ["REDIS_URL", "DATABASE_URL"])
def test_with_a_server_away_the_rest_is_told(system, away):
    system(records=0)
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    environment = {**os.environ, **settings().variables, away: nowhere[away], "CELERY_BROKER_URL": ""}
    command = [Path(sys.executable).with_name("calltrack"), "metrics"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    found = read(done.stdout)
    part, other = ("redis", "postgres") if away == "REDIS_URL" else ("postgres", "redis")
    assert (found["calltrack_up", part], found["calltrack_up", other]) == (0, 1)
    assert (("calltrack_messages_waiting", "control") in found) == (part == "postgres")


def test_prometheus_can_ask(system):
    system(records=0)
    command = [Path(sys.executable).with_name("calltrack"), "metrics", "--serve", "--port", "0"]
    environment = {**os.environ, **settings().variables}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as serving:
        try:
            url = serving.stderr.readline().strip()
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert read(answer.read().decode())["calltrack_up", "postgres"] == 1
        finally:
            serving.terminate()
