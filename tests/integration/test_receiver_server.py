"""The receiver as it runs: under gunicorn, with a broker that takes connections and never answers."""

import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import text

from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.embedded.ports import free_port

SECRET = "a-webhook-secret"


def until(condition, seconds=30.0):
    """What `condition` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


@pytest.fixture
def settings(settings_env):
    return settings_env()


@pytest.fixture
def door(database, settings):
    with database.begin() as connection:
        accounts.insert(
            connection,
            Vault(settings.secret_keys),
            provider="retreaver",
            api_url="http://127.0.0.1:1",
            secrets={"api_key": "k"},
            webhook_secrets=[SECRET],
            settings={},
        )


@pytest.fixture
def server(door):
    """Its URL, and the process."""
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        port = free_port()
        environ = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{black_hole.getsockname()[1]}/0"}
        command = [sys.executable, "-m", "gunicorn", "--config", "python:webhooks.gunicorn_conf"]
        with subprocess.Popen([*command, "--workers", "1", "--bind", f"127.0.0.1:{port}"], env=environ) as process:
            url = f"http://127.0.0.1:{port}"
            try:
                until(lambda: process.poll() is not None or answers(url), seconds=60)
                yield url, process
            finally:
                process.terminate()


def answers(url):
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):  # not yet, or not yet quick
        return False


def post(url, body, **headers):
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    headers = {"X-Signature": signature, "Content-Type": "application/json", **headers}
    return requests.post(f"{url}/webhooks/retreaver", data=body, headers=headers, timeout=30)


def count(database, table):
    with database.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def test_under_gunicorn(server, database):
    """One start for all of it: starting takes longer than the rest."""
    url, process = server
    accepts_at_full_speed_while_the_broker_never_answers(url, database)
    refuses_a_chunked_body(url)
    lets_a_sender_read_why_its_body_is_too_large(url)
    takes_a_long_query(url)
    answers_what_is_no_request_with_400(url)
    takes_no_proxy_at_its_word(url)
    assert count(database, "webhook_logs") == 31
    writes_the_refusals_when_it_is_stopped(process, database)


def accepts_at_full_speed_while_the_broker_never_answers(url, database):
    began = time.monotonic()
    for number in range(30):
        assert post(url, b'{"n": %d}' % number).status_code == 202
    # A message about each of them, if it were sent before the answer, would fail after a second or more.
    assert time.monotonic() - began < 20
    assert count(database, "webhook_logs") == 30
    ready = requests.get(f"{url}/readyz", timeout=30)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def refuses_a_chunked_body(url):
    chunks = requests.post(f"{url}/webhooks/retreaver", data=iter([b"{", b"}"]), timeout=30)
    assert (chunks.status_code, chunks.json()["error"]) == (411, "length_required")


def lets_a_sender_read_why_its_body_is_too_large(url):
    answer = post(url, b" " * 5_000_000)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


def takes_a_long_query(url):
    query = "call_uuid=u1&note=" + "n" * 7000
    signature = hmac.digest(SECRET.encode(), query.encode(), "sha256").hex()
    answer = requests.post(f"{url}/webhooks/retreaver?{query}", headers={"X-Signature": signature}, timeout=30)
    assert answer.status_code == 202


def raw(url, *lines):
    """The answer to this, as it comes over the wire."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"\r\n".join([b"POST /webhooks/retreaver HTTP/1.1", b"Host: a", *lines, b"", b"{}"]))
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def answers_what_is_no_request_with_400(url):
    """Headers within headers, and lengths of which two servers would read two requests."""
    for lines in (
        [b"Content-Length: 2", b"X-Signature: a\r\n b"],
        [b"Content-Length: 2", b"X-Signature: a\0b"],
        [b"Content-Length: 2", b"X-Signature: a\rX-Evil: b"],
        [b"Content-Length: 2", b"X-Signature : a"],
        [b"Content-Length: 2", b"Content-Length: 3"],
        [b"Content-Length: -2"],
        [b"Content-Length: 2", b"Transfer-Encoding: chunked"],
    ):
        answer = raw(url, *lines)
        assert answer.startswith(b"HTTP/1.1 400 "), (lines, answer)
        assert b"Evil" not in answer


def takes_no_proxy_at_its_word(url):
    """Not even one on this machine: else anybody who asks through it could name another path."""
    headers = {"Script_Name": "/webhooks", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    assert post(url, b'{"n": 0}', **headers).json()["status"] == "duplicate"


def writes_the_refusals_when_it_is_stopped(process, database):
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    with database.connect() as connection:
        found = connection.execute(
            text("SELECT reason, refusals, samples->0->>'source' FROM webhook_refusals ORDER BY 1")
        ).all()
    assert [tuple(row) for row in found] == [("length_required", 1, "127.0.0.1"), ("too_large", 1, "127.0.0.1")]


def test_a_missing_setting_is_one_sentence(tmp_path):
    environ = {**os.environ, "CALLTRACK_HOME": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1"}
    command = [sys.executable, "-m", "gunicorn", "--config", "python:webhooks.gunicorn_conf"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("calltrack: ")
    assert "DATABASE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_sender_that_falls_silent_is_let_go(settings):
    """Else a few connections that died in the middle of a request would hold all threads."""
    from webhooks import gunicorn_conf  # here: it reads the settings

    with socket.create_server(("127.0.0.1", 0)) as listener:
        gunicorn_conf.limit_silence(listener, 0.1)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            accepted.setblocking(True)
            with pytest.raises(BlockingIOError):
                accepted.recv(1)
