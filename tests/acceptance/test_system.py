"""Webhook in, sync out: rows, through real processes."""

import pytest

from simulator.letters import Mix
from simulator.senders import send
from tests.acceptance.conftest import SECRET, until

PROVIDERS = ("retreaver", "convoso")
LIST = [
    "run_id",
    "status",
    "pages",
    "fetched",
    "inserted",
    "updated",
    "unchanged",
    "rejected",
    "duplicates",
    "excluded",
    "seconds",
]
WAITING = "SELECT count(*) FROM webhook_logs WHERE state = 'received'"
IDS = "SELECT external_id FROM calls WHERE provider = %s"


def test_a_sync_from_the_command_line(system):
    said = system.sync("retreaver", "--full")
    assert list(said) == LIST
    assert (said["status"], said["inserted"]) == ("completed", 150)
    stored = [row[0] for row in system.rows(IDS, "retreaver")]
    assert sorted(stored) == sorted(system.sim.provider("retreaver").ids())


def test_a_task_from_a_shell(system):
    code = "print('run', sync_account.delay('convoso', mode='incremental').get(timeout=30))"
    run_id = int(system.calltrack("shell", "-c", code).stdout.split()[-1])
    until(lambda: system.rows("SELECT state FROM sync_runs WHERE id = %s", run_id) == [("completed",)])
    stored = [row[0] for row in system.rows(IDS, "convoso")]
    assert sorted(stored) == sorted(system.sim.provider("convoso").ids())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_webhooks_of_all_kinds_become_rows(system, provider):
    mix = Mix(duplicates=0.2, forged=0.2, out_of_order=True, unlisted=0.5)
    sent = send(system.sim.world, provider, system.url(provider), 100, SECRET, mix=mix)
    assert sent.as_it_should_be, sent.report()
    assert (sent.by_answer["202 accepted"], sent.by_answer["202 duplicate"]) == (60, 20)
    until(lambda: system.rows(WAITING) == [(0,)])
    stored = {row[0] for row in system.rows(IDS, provider)}
    assert set(sent.ids) <= stored
    assert not stored & set(sent.forged_ids)
    told = system.rows("SELECT DISTINCT state FROM webhook_logs WHERE provider = %s", provider)
    assert told == [("processed",)]


def test_a_failed_sync_says_why_and_how_to_go_on(system):
    system.add_account("retreaver", "wrong", api_key="not-to-be-seen-anywhere")
    done = system.calltrack("sync", "retreaver", "--account", "wrong", "--full", "--wait", check=False)
    assert done.returncode == 1
    assert "credentials" in done.stderr
    assert "calltrack runs resume" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_that_was_said_shows_a_secret(system):
    """Runs last: all that the processes wrote while the tests above ran."""
    secrets = {SECRET, "not-to-be-seen-anywhere", *system.settings.secret_keys.values()}
    for provider in PROVIDERS:
        credentials = system.sim.credentials(provider)
        secrets |= {value for name, value in credentials.items() if name in ("api_key", "auth_token")}
    assert "sync progress" in system.output
    for secret in secrets:
        assert secret not in system.output
    tables = ("sync_runs", "sync_pages", "webhook_logs", "provider_configs", "rejected_records")
    stored = repr([system.rows(f"SELECT * FROM {name}") for name in tables])
    assert not [secret for secret in secrets if secret in stored]
