import json
import logging
import sys

import pytest
import requests
import structlog
import urllib3
from structlog.contextvars import bound_contextvars

from calltrack import log

SECRET = "hunter2hunter2hunter2"
URL = f"https://api.example.com/calls.json?api_key={SECRET}&page=2"


class Lines:
    """Everything that was written to stderr so far."""

    def __init__(self, capsys):
        self.capsys, self.text = capsys, ""

    def getvalue(self):
        self.text += self.capsys.readouterr().err
        return self.text


@pytest.fixture
def lines(capsys):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield Lines(capsys)
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.fixture(params=["json", "console"])
def written(request, lines):
    log.setup(request.param, level="DEBUG")
    return lines


def records(lines):
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_what_is_bound(lines):
    log.setup("json")
    with bound_contextvars(run_id="7"):
        log.get("calltrack.sync").info("page_stored", page=12, rows=100, seconds=0.5, last=True, none=None)
        logging.getLogger("celery.worker").warning("lost %s", "it")
    ours, theirs = records(lines)
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "page_stored",
        "logger": "calltrack.sync",
        "level": "info",
        "run_id": "7",
        "page": 12,
        "rows": 100,
        "seconds": 0.5,
        "last": True,
        "none": None,
    }
    assert (theirs["event"], theirs["run_id"], theirs["level"]) == ("lost it", "7", "warning")


def test_without_a_terminal_it_is_json(lines):
    log.setup()
    log.get("x").info("started")
    assert records(lines)[0]["event"] == "started"


def test_in_a_terminal_it_is_readable(lines, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log.setup()
    log.get("x").info("page_stored", page=12)
    assert "page_stored" in lines.getvalue()
    assert not lines.getvalue().startswith("{")


def test_a_second_setup_does_not_double_the_lines(lines):
    log.setup("json")
    log.setup("json")
    log.get("x").info("once")
    assert len(records(lines)) == 1


def test_a_server_that_put_up_its_own_handlers_comes_into_the_chain(lines):
    gunicorn = logging.getLogger("gunicorn.access")
    gunicorn.propagate = False
    gunicorn.addHandler(logging.StreamHandler())
    log.setup("json")
    gunicorn.info('127.0.0.1 "GET /webhooks/acme?secret=%s HTTP/1.1" 202', SECRET)
    (record,) = records(lines)
    assert record["event"] == '127.0.0.1 "GET /webhooks/acme?… HTTP/1.1" 202'


def test_below_the_level_nothing_is_written(lines):
    log.setup("json")
    log.get("x").debug("quiet")
    logging.getLogger("x").debug("quiet")
    assert lines.getvalue() == ""


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (URL, "https://api.example.com/calls.json?…"),
        (f"GET /calls.json?{SECRET} HTTP/1.1", "GET /calls.json?… HTTP/1.1"),
        (f"<{URL}>; rel=next", "<https://api.example.com/calls.json?…>; rel=next"),
        (f"redis://:{SECRET}@localhost:6379/0", "redis://:…@localhost:6379/0"),
        (f"postgresql://calltrack:p@{SECRET}@db/calls", "postgresql://calltrack:…@db/calls"),
        (f"api_key={SECRET}", "api_key=…"),
        (f"{{'auth_token': '{SECRET}', 'page': 1}}", "{'auth_token': …, 'page': 1}"),
        (f'{{"api_key": "{SECRET} and more"}}', '{"api_key": …}'),
        (f"Authorization: Bearer {SECRET}", "Authorization: …"),
        (f"('X-Signature', 'x') X-Signature: {SECRET}", "('X-Signature', 'x') X-Signature: …"),
        (f"CALLTRACK_SECRET_KEYS=k1:{SECRET}", "CALLTRACK_SECRET_KEYS=…"),
        (f"dbname=calls password={SECRET} host=db", "dbname=calls password=… host=db"),
        ("Is it so? Yes: 3 of 4.", "Is it so? Yes: 3 of 4."),
        ("BadSignature: The signature is missing or wrong.", "BadSignature: The signature is missing or wrong."),
        ("CredentialsRefused: The provider refused", "CredentialsRefused: The provider refused"),
        ("https://api.example.com/v1/calls at 12:30", "https://api.example.com/v1/calls at 12:30"),
    ],
)
def test_what_is_masked_in_a_text_and_what_is_not(text, masked):
    assert log.mask(text) == masked


def test_a_long_text_is_masked_in_no_time():
    """A pattern that goes back over the text for every letter would take minutes."""
    for text in ("a" * 50_000, "api_key" * 5_000, "?" * 50_000, "://" * 15_000, "'" * 50_000, "secret: '" * 5_000):
        log.mask(text)


class Client:
    def __repr__(self):
        return f"Client(api_key={SECRET!r})"


@pytest.mark.parametrize(
    "values",
    [
        {"url": URL},
        {"api_key": SECRET},
        {"api_key": int("123456789")},
        {"Authorization": f"Bearer {SECRET}"},
        {"x_signature": SECRET},
        {"settings": {"nested": [{"auth_token": SECRET}, {"deeper": {"webhook_secrets": [SECRET]}}]}},
        {"headers": [("Authorization", SECRET), ("Accept", "json")]},
        {"body": SECRET.encode()},
        {"client": Client()},
        {"keys": {URL: 1}},
        {"error": requests.ConnectionError(f"refused: {URL}")},
        {"urls": {URL}},
    ],
)
def test_no_value_of_an_event_lets_a_secret_out(written, values):
    log.get("x").warning("something", **values)
    assert "something" in written.getvalue()
    assert SECRET not in written.getvalue()
    assert "123456789" not in written.getvalue()


def test_no_event_name_or_bound_value_lets_a_secret_out(written):
    with bound_contextvars(api_key=SECRET, origin=URL):
        log.get("x").bind(password=SECRET).info(f"asked {URL}")
    assert "asked" in written.getvalue()
    assert SECRET not in written.getvalue()


def real_failure():
    """What requests raises where nobody listens: its text holds the path and the query."""
    requests.get(f"http://127.0.0.1:1/calls.json?api_key={SECRET}", timeout=1)


def test_no_traceback_lets_a_secret_out(written):
    with pytest.raises(requests.ConnectionError, match=SECRET):
        real_failure()
    for logger in (log.get("x"), logging.getLogger("celery.app.trace")):
        try:
            real_failure()
        except requests.ConnectionError:
            logger.exception("failed")
    assert written.getvalue().count("Traceback") >= 2
    assert "Max retries exceeded with url: /calls.json?…" in written.getvalue()
    assert SECRET not in written.getvalue()


@pytest.mark.parametrize("name", ["celery.task", "urllib3.connectionpool", "gunicorn.error", "werkzeug", "anything"])
def test_no_library_lets_a_secret_out(written, name):
    logging.getLogger(name).warning("Retrying after %r: %s", {"auth_token": SECRET}, URL, extra={"api_key": SECRET})
    assert "Retrying" in written.getvalue()
    assert SECRET not in written.getvalue()


def test_urllib3_does_not_log_each_request(written):
    with urllib3.PoolManager(retries=False) as pool, pytest.raises(urllib3.exceptions.HTTPError):
        pool.request("GET", f"http://127.0.0.1:1/calls.json?api_key={SECRET}")
    logging.getLogger("urllib3.connectionpool").debug("GET %s", URL)
    assert written.getvalue() == ""


def test_a_record_that_cannot_be_written_keeps_its_arguments_to_itself(written):
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if isinstance(handler, log.Handler)]  # without pytest's
    root.warning("%d calls", SECRET)
    assert "could not be written" in written.getvalue()
    assert SECRET not in written.getvalue()
