"""The client against a real HTTP server with bad habits."""

import gzip
import http.server
import pickle
import socketserver
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

from calltrack.client import session
from calltrack.client.auth import QueryKeys
from calltrack.client.breaker import Breaker
from calltrack.client.budget import Budget, Lane, Limit
from calltrack.client.session import Client
from calltrack.errors import (
    BreakerOpen,
    BudgetSpent,
    CalltrackError,
    CredentialsRefused,
    FixConfiguration,
    ProviderFailed,
    ProviderUnreachable,
    RequestRefused,
    TooManyRequests,
    UnreadableAnswer,
)

KEY = "hunter2hunter2"


class Provider(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Sends what `answers` says, byte for byte, one list entry after the other; the last one again and again."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = [reply(b"[]")]
        self.requests = []
        self.connections = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/api"

    def process_request(self, request, client_address):
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        """The client hung up: what this test is about."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, dict(self.headers)))
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        if callable(answer):
            answer(self)
        else:
            self.wfile.write(answer)

    def log_message(self, *args):
        pass


def reply(body=b"", status=200, **headers):
    headers = {"Content-Length": str(len(body)), "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def provider():
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class FreeBudget:
    """Grants after the waits it is given, and remembers what it is told."""

    def __init__(self, *waits):
        self.waits, self.taken, self.blocks, self.refusals = list(waits), [], [], []

    def take(self, lane):
        self.taken.append(lane)
        return self.waits.pop(0) if self.waits else 0.0

    def block(self, seconds):
        self.blocks.append(seconds)

    def refused(self, seconds):
        self.refusals.append(seconds)
        return 9.0 if seconds is None else seconds


class ClosedBreaker:
    def call(self, function):
        return function()


@pytest.fixture
def budget():
    return FreeBudget()


@pytest.fixture
def client(provider, budget):
    made = Client(
        "acme/default",
        provider.url,
        QueryKeys({"api_key": "api_key"}),
        {"api_key": KEY},
        budget,
        ClosedBreaker(),
        timeout=(2.0, 0.3),
    )
    yield made
    made.close()


def get(client, lane=Lane.INCREMENTAL):
    return client.get("/calls.json", {"page": "2", "caller": "+1 555"}, lane)


def fault(client):
    """The error of a request, from which nothing of the request can be read."""
    with pytest.raises(CalltrackError) as caught:
        get(client)
    error = caught.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + repr(pickle.dumps(error))
    return error


def test_an_answer_comes_back_whole(client, provider, budget):
    provider.answers = [reply(b'[{"call": 1}]', Link='<https://x/calls.json?page=3>; rel="next"')]
    answer = get(client, Lane.REPAIR)
    assert (answer.status, answer.json, budget.taken) == (200, [{"call": 1}], [Lane.REPAIR])
    assert "rel=" in answer.headers["link"]
    path, headers = provider.requests[0]
    assert path == f"/api/calls.json?page=2&caller=%2B1+555&api_key={KEY}"
    assert headers["User-Agent"] == f"calltrack/{version('calltrack')}"


def test_connections_are_used_again(client, provider):
    provider.answers = [reply(b"[]"), reply(b"no", status=404), reply(gzip.compress(b"[]"), Content_Encoding="gzip")]
    get(client)
    fault(client)
    get(client)
    get(client)
    assert provider.connections == 1


def test_gzip_and_chunks_are_unpacked(client, provider):
    packed = gzip.compress(b"[" + b"1," * 100_000 + b"1]")
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(packed[i : i + 50]), packed[i : i + 50]) for i in range(0, len(packed), 50)
    )
    head = reply(status=200, Content_Length=None, Content_Encoding="gzip", Transfer_Encoding="chunked")
    provider.answers = [head + chunks + b"0\r\n\r\n"]
    assert len(get(client).json) == 100_001


def hang_up(handler):
    handler.close_connection = True


def cut_off(head):
    def answer(handler):
        handler.wfile.write(head)
        handler.close_connection = True

    return answer


def fall_silent(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    handler.connection.recv(1)  # until the client hangs up


def drip(handler):
    handler.wfile.write(reply(Content_Length="1000000"))
    for _ in range(150):
        handler.wfile.write(b" ")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang_up, ProviderUnreachable),
        (fall_silent, ProviderUnreachable),
        (b"hello?\r\n\r\n", ProviderUnreachable),
        (cut_off(reply(b"[1, 2", Content_Length="500")), UnreadableAnswer),
        (cut_off(reply(b"10\r\n[1, 2", Content_Length=None, Transfer_Encoding="chunked")), UnreadableAnswer),
        (cut_off(reply(b"zz\r\n[1, 2", Content_Length=None, Transfer_Encoding="chunked")), UnreadableAnswer),
        (reply(b"no gzip at all", Content_Encoding="gzip"), UnreadableAnswer),
        (reply(b"", status=401), CredentialsRefused),
        (reply(b"", status=422), RequestRefused),
        (reply(b"", status=500), ProviderFailed),
    ],
)
def test_each_fault_is_one_of_our_errors(client, provider, answer, error):
    provider.answers = [answer]
    assert type(fault(client)) is error


def test_nobody_there(client, provider):
    provider.server_close()
    assert type(fault(client)) is ProviderUnreachable


def test_an_answer_that_never_ends_is_given_up(client, provider, monkeypatch):
    monkeypatch.setattr(session, "LONGEST_ANSWER", 0.2)
    provider.answers = [drip]
    began = time.monotonic()
    assert type(fault(client)) is ProviderUnreachable
    assert time.monotonic() - began < 1.0


def test_an_answer_that_is_too_large_is_given_up(client, provider, monkeypatch):
    monkeypatch.setattr(session, "LARGEST_ANSWER", 1024 * 1024)
    bomb = gzip.compress(b" " * 5_000_000)
    provider.answers = [reply(bomb, Content_Encoding="gzip")]
    assert fault(client).message == "The provider's answer is larger than 1 MiB."


@pytest.mark.parametrize(("status", "error"), [(301, FixConfiguration), (302, ProviderFailed)])
def test_redirects_are_not_followed(client, provider, status, error):
    provider.answers = [reply(b"", status=status, Location="/api/elsewhere")]
    assert type(fault(client)) is error
    assert len(provider.requests) == 1


def test_nothing_is_kept_between_requests(client, provider, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    provider.answers = [reply(b"[]", Set_Cookie="session=1; Path=/")]
    get(client)
    get(client)
    assert [{"Cookie", "Authorization"} & set(headers) for _, headers in provider.requests] == [set(), set()]


def test_a_credential_that_fits_in_no_header_is_not_repeated(provider, budget):
    class Header:
        def apply(self, credentials, _params, headers):
            headers["X-Key"] = credentials["key"]

    for key in (KEY + "\n", KEY + "☃"):
        client = Client("acme", provider.url, Header(), {"key": key}, budget, ClosedBreaker())
        assert type(fault(client)) is FixConfiguration


def test_threads_share_a_client(client, provider):
    with ThreadPoolExecutor(4) as pool:
        assert [answer.json for answer in pool.map(lambda _: get(client), range(40))] == [[]] * 40
    assert provider.connections <= 4


# ── budget and breaker ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_short_wait_is_waited_for(client, provider, budget):
    budget.waits = [0.01, 0.02]
    assert get(client).json == []
    assert len(budget.taken) == 3


@pytest.mark.parametrize("waits", [[2.5], [0.01, 2.0], [60.0]])
def test_a_long_wait_is_left_to_the_caller(client, provider, budget, waits):
    budget.waits = list(waits)
    with pytest.raises(BudgetSpent) as caught:
        get(client)
    assert caught.value.wait == waits[-1]
    assert provider.requests == []


def test_retry_after_blocks_the_account(client, provider, budget):
    provider.answers = [reply(b"", status=503, Retry_After="17")]
    assert fault(client).wait == 17.0
    assert (budget.blocks, budget.refusals) == ([17.0], [])


def test_from_a_429_the_budget_learns_and_says_how_long_to_wait(client, provider, budget):
    provider.answers = [reply(b"", status=429, Retry_After="17"), reply(b"", status=429)]
    assert [fault(client).wait, fault(client).wait] == [17.0, 9.0]
    assert (budget.blocks, budget.refusals) == ([], [17.0, None])


def test_other_faults_block_nobody(client, provider, budget):
    provider.answers = [reply(b"", status=500)]
    fault(client)
    assert budget.blocks == budget.refusals == []


def test_all_together_with_redis(provider, broker):
    limit = Limit.parse("1000/second")
    client = Client(
        "acme/default",
        provider.url,
        QueryKeys({"api_key": "api_key"}),
        {"api_key": KEY},
        Budget(broker, "acme/default", [limit]),
        Breaker(broker, "acme/default"),
    )
    provider.answers = [reply(b"[]"), *[reply(b"", status=500)] * 5, reply(b"[]")]
    assert get(client).json == []
    for _ in range(5):
        assert type(fault(client)) is ProviderFailed
    assert type(fault(client)) is BreakerOpen
    assert len(provider.requests) == 6
    broker.flushall()
    provider.answers = [reply(b"", status=429, Retry_After="100")]
    assert type(fault(client)) is TooManyRequests
    assert type(fault(client)) is BudgetSpent
    assert len(provider.requests) == 7
    client.close()
