import json

import pytest
from sqlalchemy import text

from calltrack import accounts
from calltrack.config import resolve
from calltrack.db import audit
from calltrack.errors import FixConfiguration
from calltrack.sync import runs

RETREAVER = ("retreaver", "--set", "api_key=plain-key", "--set", "company_id=7", "--webhook-secret", "plain-hook")


@pytest.fixture
def actions(database):
    """What the log says was done, oldest first: (action, subject, details)."""

    def read():
        with database.connect() as connection:
            rows = audit.entries(connection)
        return [(row["action"], row["subject"], row["details"]) for row in reversed(rows)]

    return read


def test_every_change_of_an_account_is_recorded_by_names_only(calltrack, actions):
    calltrack("accounts", "add", *RETREAVER)
    calltrack("accounts", "update", "retreaver", "--set", "api_key=plain-two", "--webhook-secret", "plain-three")
    calltrack("accounts", "update", "retreaver", "--rate-limit", "5/second", "--api-url", "http://127.0.0.1:1")
    calltrack("accounts", "update", "retreaver", "--rate-limit", "5/second")  # is like that already
    calltrack("accounts", "disable", "retreaver")
    calltrack("accounts", "enable", "retreaver")
    calltrack("accounts", "remove", "retreaver", "--yes")
    who = "retreaver/default"
    assert actions() == [
        ("account.added", who, {"settings": ["api_key", "company_id"], "scheduled": True}),
        ("account.changed", who, {"changed": ["api_key", "webhook_secrets"]}),
        ("account.changed", who, {"changed": ["api_url", "rate_limits"]}),
        ("account.disabled", who, {}),
        ("account.enabled", who, {}),
        ("account.removed", who, {"calls": 0}),
    ]
    assert "plain-" not in calltrack("audit", "list").output + calltrack("audit", "list", "--json").output


def test_accounts_of_the_environment_are_recorded_as_its_doing(calltrack, database, settings_env, actions):
    keys = {"CALLTRACK_SECRET_KEYS": f"one:{'1' * 32}", "CALLTRACK_HOME": str(settings_env().home)}
    convoso = {"CONVOSO_AUTH_TOKEN": "plain-token", "CONVOSO_TIMEZONE": "UTC", "CONVOSO_WEBHOOK_SECRET": "plain-hook"}
    for changed in ({}, {}, {"CONVOSO_POLLING_ENABLED": "false"}):
        with database.begin() as connection:
            accounts.seed(connection, resolve(keys | convoso | changed))
    assert [action for action, *_ in actions()] == ["account.added", "account.unscheduled"]
    with database.connect() as connection:
        assert {row["actor"] for row in audit.entries(connection)} == {f"seed {audit.user()}"}


def test_syncs_that_people_start_stop_and_resume_are_recorded(calltrack, actions):
    calltrack("accounts", "add", *RETREAVER, "--api-url", "http://127.0.0.1:1")
    run_id, _ = runs.start("retreaver", None, "full")
    runs.cancel_run(run_id)
    with pytest.raises(FixConfiguration):
        runs.cancel_run(run_id)
    hints = runs.resume_run(run_id)
    assert actions()[1:] == [
        ("sync.started", "retreaver/default", {"run": run_id, "mode": "full", "since": None, "until": None}),
        ("run.cancelled", f"run {run_id}", {}),
        ("run.resumed", f"run {run_id}", {"pages": len(hints)}),
    ]


def test_what_is_refused_is_not_recorded(calltrack, actions):
    calltrack("accounts", "add", *RETREAVER)
    assert calltrack("accounts", "add", *RETREAVER).exit_code == 1
    assert calltrack("accounts", "update", "retreaver", "--rate-limit", "lots").exit_code == 1
    assert len(actions()) == 1


def test_list_tells_who_did_what_and_can_be_narrowed(calltrack):
    calltrack("accounts", "add", *RETREAVER)
    calltrack("accounts", "add", *RETREAVER, "--name", "east")
    calltrack("accounts", "disable", "east")
    told = calltrack("audit", "list").stdout
    assert audit.user() in told
    assert told.index("account.disabled") < told.index("account.added")  # newest first

    def ids(*options):
        lines = calltrack("audit", "list", "--json", *options).stdout.splitlines()
        return [json.loads(line)["id"] for line in lines]

    assert ids() == [3, 2, 1]
    assert ids("--limit", "1") == [3]
    assert ids("--subject", "retreaver/east") == [3, 2]
    assert ids("--action", "account.added") == [2, 1]
    assert ids("--since", "2999-01-01") == []
    assert ids("--since", "2020-01-01") == [3, 2, 1]


def test_verify_says_that_the_log_is_whole_or_names_the_row(calltrack, database):
    for name in ("one", "two"):
        calltrack("accounts", "add", *RETREAVER, "--name", name)
    number, kept = calltrack("audit", "head").stdout.split()
    assert number == "2"
    whole = calltrack("audit", "verify", "--head", kept)
    assert (whole.exit_code, whole.stdout) == (0, "The audit log is whole: 2 rows.\n")
    with database.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE audit_log SET actor = 'nobody' WHERE id = 2"))
    broken = calltrack("audit", "verify", "--json")
    assert broken.exit_code == 1
    assert "Row 2 is not as it was written" in broken.stderr
    assert json.loads(broken.stdout)["broken"]["row"] == 2


def test_verify_misses_a_head_that_was_kept(calltrack):
    calltrack("accounts", "add", *RETREAVER)
    missing = calltrack("audit", "verify", "--head", "ab" * 32)
    assert missing.exit_code == 1
    assert "abab" in missing.stdout


def test_an_empty_log_has_no_head(calltrack):
    told = calltrack("audit", "head")
    assert told.exit_code == 1
    assert "empty" in told.stderr
    assert calltrack("audit", "verify").exit_code == 0
