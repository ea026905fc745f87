"""Asking a provider, here a real HTTP server, whether an account works."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from calltrack import accounts as library
from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.sync.connections import client_for


@dataclass
class Answers:
    """What the server is to answer, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b"[]"
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Answers]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            answers.asked.append((parts.path, parse_qs(parts.query)))
            self.send_response(answers.status)
            self.send_header("Content-Length", str(len(answers.body)))
            self.end_headers()
            self.wfile.write(answers.body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        answers.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answers
        listening.shutdown()
        thread.join()


@pytest.fixture
def check(database, broker, settings_env, server):
    """Adds an account with these values at the server, and checks it."""

    def run(provider="retreaver", api_url="", **values):
        vault = Vault(settings_env().secret_keys)
        with database.begin() as conn:
            url = api_url or server.url
            account = library.add(conn, vault, provider, values=values, api_url=url).account
        client = client_for(accounts_again(account.id, vault))
        try:
            return library.check(account, client)
        finally:
            client.close()

    def accounts_again(account_id, vault):
        with database.connect() as conn:
            return accounts.get(conn, vault, account_id)

    return run


def test_an_account_that_works_is_asked_for_one_call(check, server):
    assert check(api_key="k", company_id="7") is None
    ((path, query),) = server.asked
    assert path == "/api/v2/calls.json"
    assert query["per_page"] == ["1"]
    assert query["api_key"] == ["k"]
    assert query["company_id"] == ["7"]
    assert {"created_at_start", "created_at_end"} <= query.keys()


def test_an_account_without_calls_works_too(check, server):
    server.body = b'{"success": true, "data": {"offset": 0, "limit": 1, "total_found": 0, "results": []}}'
    assert check("convoso", auth_token="t", timezone="America/New_York") is None


def test_refused_credentials_say_which_command_mends_them(check, server):
    server.status = 401
    fault = check(api_key="plain-key")
    assert "refused the account's credentials" in fault
    assert "calltrack accounts update retreaver/default --set KEY=VALUE" in fault
    assert "plain-key" not in fault


def test_refused_credentials_are_told_behind_a_status_of_200_too(check, server):
    server.body = b'{"success": false, "code": 2001, "text": "Authentication Failed"}'
    assert "calltrack accounts update convoso/default" in check("convoso", auth_token="t", timezone="UTC")


def test_something_that_is_no_api_says_to_check_the_url(check, server):
    server.body = b"<html>Welcome</html>"
    assert f"whether {server.url} is the base of the provider's API" in check(api_key="k")


def test_nobody_there_says_to_check_the_url_and_the_network(check):
    fault = check(api_key="plain-key", api_url="http://127.0.0.1:1")
    assert "could not be reached" in fault
    assert "whether http://127.0.0.1:1 is right" in fault
    assert "plain-key" not in fault
