"""The commands that ask a provider for something, or have it do something."""

import json

import pytest

from calltrack import accounts
from calltrack.sync.connections import vault
from simulator import Habits, Simulator, World
from simulator.retreaver import POSTBACK_KEY

SECRET = "plain-secret-of-the-door"
HOST = "https://calls.example.com"


@pytest.fixture
def sim():
    with Simulator(World(seed=1, records=20)) as simulator:
        yield simulator


@pytest.fixture
def run(calltrack, database, sim):
    """Runs a command with an account at each provider, and sees to it that nothing secret is printed."""
    more = {
        "retreaver": {"postback_key": POSTBACK_KEY, "data_url": sim.url("retreaver")},
        "trackdrive": {"secret_in": "path"},
        "ringba": {"secret_in": "query"},
    }
    secrets = [SECRET, POSTBACK_KEY]
    for provider in ("convoso", "retreaver", "ringba", "trackdrive"):
        values = {**sim.credentials(provider), **more.get(provider, {})}
        secrets += [value for name, value in values.items() if "key" in name or "token" in name]
        with database.begin() as connection:
            accounts.add(
                connection,
                vault(),
                provider,
                api_url=sim.url(provider),
                values=values,
                webhook_secrets=[SECRET],
                rate_limits=["10000/second"],
            )

    def ran(*arguments, **options):
        result = calltrack(*arguments, **options)
        assert not [secret for secret in secrets if secret in result.output + result.stderr]
        return result

    return ran


def test_a_call_is_shown(run, sim):
    call = sim.world.calls("ringba")[3]
    shown = run("calls", "get", "ringba/default", call.id).stdout
    assert call.customer in shown
    got = json.loads(run("calls", "get", "ringba", call.id, "--json").stdout)
    assert (got["external_id"], got["caller_number"]) == (call.id, call.customer)
    assert json.loads(run("calls", "get", "ringba", call.id, "--raw").stdout)["inboundCallId"] == call.id
    missing = run("calls", "get", "ringba", "nobody")
    assert (missing.exit_code, missing.stderr) == (1, "Ringba has no call nobody.")


def test_a_call_is_changed(run, sim):
    call = sim.world.calls("trackdrive")[3]
    options = ("--tag", "quality=very = good", "--converted", "no", "--revenue", "12.50", "--add-payout", "-0.25")
    before = call.payout or 0
    told = run("calls", "update", "trackdrive", call.id, *options)
    assert told.stdout.startswith(f"trackdrive/default: changed converted, revenue, add payout, tags of {call.id}.")
    assert "fetched anew" in told.stdout
    assert (str(call.revenue), call.converted, call.payout - before) == ("12.5", False, -0.25)
    assert call.tags["quality"] == "very = good"


def test_nothing_is_changed_where_something_is_wrong(run, sim):
    call = sim.world.calls("trackdrive")[3]
    for wrong, told in (
        (("--tag", "quality"), "--tag wants NAME=VALUE"),
        (("--tag", "a=1", "--tag", "a=2"), "--tag wants NAME=VALUE, and each name once"),
        (("--revenue", "much"), "revenue: 'much' is no amount"),
        (("--converted", "perhaps"), "converted: write yes or no"),
        ((), "not nothing"),
    ):
        result = (
            run("calls", "update", "trackdrive", call.id, "--payout", "1", *wrong)
            if wrong
            else run("calls", "update", "trackdrive", call.id)
        )
        assert result.exit_code == 1
        assert told in result.stderr
    assert not sim.stats["trackdrive"].requests


def test_numbers_are_listed_bought_and_given_back(run, sim):
    for number in sim.provider("retreaver").numbers.list():
        assert number["number"] in run("numbers", "list", "retreaver").stdout
    refused = run("numbers", "provision", "ringba", typed="n\n")
    assert refused.exit_code == 1
    assert "Buy a toll-free number in US at ringba/default? It costs money." in refused.stderr
    assert not sim.provider("ringba").writes
    bought = json.loads(run("numbers", "provision", "ringba", "--area-code", "888", "--yes", "--json").stdout)
    assert bought["number"].startswith("+1888")
    listed = [json.loads(line) for line in run("numbers", "list", "ringba", "--json").stdout.splitlines()]
    assert bought in listed
    assert run("numbers", "release", "ringba", bought["number"], typed="n\n").exit_code == 1
    given_back = run("numbers", "release", "ringba", bought["id"], "--yes")
    assert given_back.stdout == f"ringba/default: {bought['number']} is given back.\n"
    assert sim.provider("ringba").writes == {"number.added": 1, "number.removed": 1}


def test_a_lost_purchase_says_where_to_look(run, sim):
    sim.provider("ringba").habits = Habits(cut_connections=1.0)
    result = run("numbers", "provision", "ringba", "--yes")
    assert result.exit_code == 1
    assert "look there before you ask for it again" in result.stderr


def test_campaigns(run):
    (first, *_) = [json.loads(line) for line in run("campaigns", "list", "retreaver", "--json").stdout.splitlines()]
    assert first["name"] in run("campaigns", "list", "retreaver").stdout
    assert first["name"] in run("campaigns", "get", "retreaver", first["id"]).stdout
    assert json.loads(run("campaigns", "get", "retreaver", first["id"], "--json").stdout) == first
    assert json.loads(run("campaigns", "get", "retreaver", first["id"], "--raw").stdout)["cid"] == first["id"]


def test_a_report(run, sim):
    calls = sim.world.calls("retreaver")
    since = min(call.created_at for call in calls).date().isoformat()
    lines = [json.loads(line) for line in run("report", "retreaver", "--since", since, "--json").stdout.splitlines()]
    assert sum(line["calls"] for line in lines) == len(calls)
    shown = run("report", "retreaver", "--since", since).stdout.splitlines()
    assert len(shown) == len(lines) + 2
    assert shown[-1].split()[:2] == ["all", str(len(calls))]
    assert run("report", "retreaver", "--since", "2026-03-02", "--until", "2026-03-01").exit_code == 1


def test_webhooks_are_registered_listed_and_removed(run, sim):
    events = ("--event", "call_ended", "--event", "call_changed")
    for _ in range(2):
        told = run("accounts", "webhooks", "register", "trackdrive", "--url", HOST, *events).stdout
        assert f"call_ended goes to {HOST}/webhooks/trackdrive/default/…" in told
    first, second = [
        json.loads(line) for line in run("accounts", "webhooks", "list", "trackdrive", "--json").stdout.splitlines()
    ]
    assert (first["event"], second["event"]) == ("call_ended", "call_changed")
    assert "…" in run("accounts", "webhooks", "list", "trackdrive").stdout
    assert run("accounts", "webhooks", "remove", "trackdrive", first["id"]).exit_code == 0
    assert len(run("accounts", "webhooks", "list", "trackdrive", "--json").stdout.splitlines()) == 1
    assert sim.provider("trackdrive").desk.subscriptions.list()[0]["target_url"].endswith(SECRET)


def test_what_is_not_offered_is_one_sentence(run):
    result = run("numbers", "list", "convoso")
    assert result.exit_code == 1
    assert result.stderr == "Convoso does not list numbers: see `calltrack providers`."
    assert "Convoso" in run("providers").stdout
    assert run("providers", "--markdown").stdout.startswith("| Operation |")
    assert "no account 'nobody'" in run("campaigns", "list", "nobody").stderr
