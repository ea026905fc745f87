from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from urllib.parse import urlsplit

import pytest
import requests
from asking import LISTS, Start, ask, call_logs
from click.testing import CliRunner
from receiving import SECRET, Receiver

from calltrack.cli.send_webhooks import send_webhooks
from calltrack.cli.simulate import simulate
from simulator import PROVIDERS
from simulator.habits import USUAL

METHODS, BODIES = {"ringba": "POST"}, {"ringba": call_logs()}
COMMAND = [sys.executable, "-c", "from calltrack.cli import main; main()"]


def test_it_says_where_it_is_and_what_to_paste_and_stops_when_told() -> None:
    limits = [f"--rate-limit={provider}=1/hour" for provider in PROVIDERS]
    arguments = ["simulate", "--records", "convoso=30,retreaver=20", "--json", *limits]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        where = json.loads(process.stdout.readline())
        for provider in PROVIDERS:
            told = where["providers"][provider]
            listed = partial(ask, provider, told["api_url"], told["settings"], METHODS.get(provider, "GET"))
            answers = [listed(LISTS[provider], json=BODIES.get(provider)).status_code for _ in range(2)]
            assert answers == [200, 429]
            assert told["add"].startswith(f"calltrack accounts add {provider} --api-url {told['api_url']} --set ")
        ids = requests.get(f"{where['address']}/_simulator/retreaver/ids", timeout=10).json()
        assert ids["count"] == 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_the_list_of_habits() -> None:
    result = CliRunner().invoke(simulate, ["--habits", "list"])
    assert result.exit_code == 0
    assert all(name in result.output for name in USUAL)


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("--habits", "sulking", "--habits list"),
        ("--records", "many", "retreaver=1000"),
        ("--records", "callrail=5", "retreaver=1000"),
        ("--rate-limit", "100/minute", "retreaver=100/minute"),
        ("--rate-limit", "convoso=100/week", "100/minute"),
        ("--zone", "New York", "America/New_York"),
    ],
)
def test_simulate_says_what_to_write_instead(option: str, value: str, advice: str) -> None:
    result = CliRunner().invoke(simulate, [option, value])
    assert result.exit_code == 2
    assert advice in result.output


def test_a_taken_port(start: Start) -> None:
    port = urlsplit(start(records=0).address).port
    result = CliRunner().invoke(simulate, ["--port", str(port), "--records", "0"])
    assert result.exit_code == 2
    assert f"Port {port} is taken" in result.output


def test_sending_calls_of_a_running_simulator(start: Start, receiver: Receiver) -> None:
    sim = start(records=40)
    arguments = ["convoso", "--url", receiver.url, "--count", "40", "--secret", SECRET, "--simulator", sim.address]
    mix = ["--duplicates", "10%", "--forged", "0.05", "--out-of-order", "--unlisted", "20%", "--seed", "3"]
    result = CliRunner().invoke(send_webhooks, [*arguments, *mix, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["answers"] == {"202 accepted": 34, "202 duplicate": 4, "401": 2}
    listed = set(sim.provider("convoso").ids())
    assert 0 < len(listed & set(report["ids"])) < len(report["ids"])
    assert listed.isdisjoint(report["forged_ids"])


def test_a_receiver_with_another_secret_ends_in_failure(receiver: Receiver) -> None:
    result = CliRunner().invoke(send_webhooks, ["convoso", "--url", receiver.url, "--count", "3", "--secret", "other"])
    assert result.exit_code == 1
    assert "3 × 401" in result.output
    assert "Not as it should be" in result.output


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--url", "localhost:8000"], "http://"),
        (["--url", "http://127.0.0.1:1", "--forged", "lots"], "10%"),
        (["--url", "http://127.0.0.1:1", "--shapes", "wrapped"], "form, json"),
        (["--url", "http://127.0.0.1:1", "--forged", "60%", "--duplicates", "60%"], "100 %"),
        (["--url", "http://127.0.0.1:1", "--simulator", "http://127.0.0.1:1"], "calltrack simulate"),
    ],
)
def test_send_webhooks_says_what_to_write_instead(arguments: list[str], advice: str) -> None:
    result = CliRunner().invoke(send_webhooks, ["convoso", *arguments])
    assert result.exit_code == 2
    assert advice in result.output
