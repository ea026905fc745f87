"""What is secret, and what calls are about, stays where it belongs: through real processes, and through many errors.

All secrets and all bodies here carry a mark. The system is made to stumble over them; then everything that it wrote,
sent and shows is searched for the marks.
"""

import base64
import io
import json
import re
import socket
import subprocess
import sys
import threading
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from calltrack import accounts
from calltrack.config import resolve
from calltrack.db import audit, session
from calltrack.db.credentials import Vault
from calltrack.embedded.ports import answers, free_port
from calltrack.embedded.procfile import ROOT, environ
from calltrack.embedded.supervise import Supervisor
from calltrack.signatures import HmacSha256
from tests.acceptance.conftest import System, until

#: stands in every secret: keys, tokens, passwords
SECRET = "zqSECRET"
#: stands in every body
BODY = "zqBODY"

HOOK = f"{SECRET}-webhook"
KEYS = f"test:{SECRET}-of-32-characters-or-longer"
UUID = "7c1de000-0000-4000-8000-0000000000"
#: makes Postgres refuse a call's row, and a page's bytes
POISON = f"{BODY}-poison"

RECORD = {
    "uuid": f"{UUID}01",
    "created_at": "2026-03-01T14:00:00Z",
    "updated_at": "2026-03-01T14:00:00Z",
    "status": "finished",
    "caller": f"{BODY}-caller",
    "system_campaign_name": f"{BODY}-campaign",
}
ODD = {
    **RECORD,
    "uuid": f"{UUID}02",
    "revenue": f"{BODY}-money",
    "start_time": f"{BODY}-time",
    "total_duration": f"{BODY}-seconds",
}
NO_ID = {**RECORD, "uuid": None}


class Hostile(BaseHTTPRequestHandler):
    """A provider that says back what it was asked, key included, wherever it can."""

    asked: ClassVar = []

    def do_GET(self):
        mode, asked = self.path.split("/")[1], f"http://{self.headers['Host']}{self.path}"
        self.asked.append(asked)
        echo = json.dumps({"error": f"bad request {asked}", "api_key": asked}).encode()
        good = {"calls": [RECORD], "odd": [ODD, NO_ID], "poison": [{**RECORD, "caller_city": POISON}], "full": [RECORD]}
        match mode:
            case "refused" | "forbidden" | "wrong" | "fails" | "busy":
                status = {"refused": 401, "forbidden": 403, "wrong": 400, "fails": 500, "busy": 429}[mode]
                self.reply(status, echo)
            case "moved":
                self.reply(302, echo, Location=asked)
            case "html":
                self.reply(200, b"<html>" + echo)
            case "cut":
                self.reply(200, json.dumps([{**RECORD, "asked": asked}]).encode()[:-4])
            case "odd_json":
                self.reply(200, json.dumps({"records": [RECORD], "asked": asked}).encode())
            case "broken":
                self.wfile.write(f"HTTP/1.1 banana {asked}\r\n\r\n".encode())
            case _:
                self.reply(200, json.dumps([{"call": one} for one in good[mode]]).encode())

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


MODES = (
    *("calls", "odd", "poison", "full"),
    *("refused", "forbidden", "wrong", "fails", "busy", "moved", "html", "cut", "odd_json", "broken"),
)


@contextmanager
def hostile():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Wire:
    """Everything that is said to the broker, by anybody: a MONITOR connection."""

    def __init__(self, url):
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port))
        self._socket.sendall(f"AUTH {place.password}\r\nMONITOR\r\n".encode())
        self._heard = bytearray()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while heard := self._socket.recv(65536):
            self._heard += heard

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    @property
    def heard(self):
        """What was said, and the bodies of messages, which are base64, in plain text."""
        text = self._heard.decode(errors="replace")
        found = re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", text)
        return text + "".join(base64.b64decode(one + "==").decode(errors="replace") for one in found)


@pytest.fixture(scope="module")
def settings(settings):
    ports = {"FLOWER_PORT": str(free_port()), "PORT": str(free_port())}
    return resolve({**settings.environ, **ports, "CALLTRACK_SECRET_KEYS": KEYS})


@pytest.fixture(scope="module")
def place(settings, server_home):
    """A system at a hostile provider, after a hard day."""
    commands = {
        "web": "gunicorn --config python:webhooks.gunicorn_conf --workers 1 webhooks.wsgi:app",
        "worker": "celery --quiet -A tasks worker --pool threads --concurrency 8 -E --without-gossip --without-mingle",
        "beat": "celery --quiet -A tasks beat",
        "flower": f"celery --quiet -A tasks flower --address=127.0.0.1 --port={settings.flower_port} --read_only",
    }
    output = io.StringIO()
    with hostile() as provider, Supervisor(commands, environ(settings), ROOT, output=output):
        made = Place(settings, provider, output, server_home / "postgres" / "logs")
        try:
            made.live()
            yield made
        finally:
            made.wire.close()


class Place(System):
    def __init__(self, settings, provider, output, server_logs):
        super().__init__(settings, None, output)
        self._provider = provider
        self.server_logs = server_logs
        self.wire = Wire(settings.redis_url)
        #: to senders, and to who typed commands
        self.said = []

    def live(self):
        """Accounts, syncs and deliveries, most of which go wrong. Typing goes on while the processes start."""
        self.spoil()
        self.add_accounts()
        self.said.append(self.commands(self.typed))
        until(lambda: answers(self.settings.port) and answers(self.settings.flower_port) and "ready." in self.output)
        self.deliver()
        runs = "SELECT account_id FROM sync_runs WHERE state IN ('completed', 'failed') OR error IS NOT NULL"
        stuck = f"SELECT name FROM provider_configs WHERE id NOT IN ({runs})"
        until(
            lambda: (
                {row[0] for row in self.rows(stuck)} <= {"poison", "full", "fails", "busy", "html", "cut", "odd_json"}
            )
        )
        until(lambda: self.rows("SELECT 1 FROM sync_pages WHERE attempts > 1 AND state = 'pending'"))
        until(lambda: "could not extend file" in self.output and "violates check constraint" in self.output)
        until(lambda: "audit log" in self.output)

    def spoil(self):
        """Postgres refuses a call, a page and a delivery, in errors that would quote them."""
        for statement in (
            f"ALTER TABLE calls ADD CONSTRAINT spoilt CHECK (strpos(provider_data::text, '{POISON}') = 0)",
            """
            CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (SELECT name FROM provider_configs WHERE id = NEW.account_id) = 'full' THEN
                    RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100', DETAIL = NEW::text;
                END IF;
                RETURN NEW;
            END $$
            """,
            "CREATE TRIGGER disk_full BEFORE UPDATE OF body ON sync_pages FOR EACH ROW EXECUTE FUNCTION disk_full()",
            "CREATE TRIGGER disk_full BEFORE INSERT ON webhook_logs FOR EACH ROW EXECUTE FUNCTION disk_full()",
        ):
            self.execute(statement)

    def execute(self, statement):
        with psycopg.connect(self.settings.database_url) as connection:
            connection.execute(statement)

    def add_accounts(self):
        engine, vault = session.connect(self.settings.database_url), Vault(self.settings.secret_keys)
        with engine.begin() as connection:
            for mode in MODES:
                accounts.add(
                    connection,
                    vault,
                    "retreaver",
                    name=mode,
                    api_url=f"{self._provider}/{mode}",
                    values={"api_key": f"{SECRET}-key", "max_retries": "1", "retry_delay": "0.001"},
                    webhook_secrets=[HOOK, f"{SECRET}-older"],
                    rate_limits=["1000/second"],
                )
        engine.dispose()

    def deliver(self):
        """Deliveries, good and bad. One that finds the disk full is kept elsewhere, or refused for now."""
        for expected, door, body, headers in letters():
            sent = {"Content-Type": "application/json", **headers}
            answer = requests.post(f"{self.url('retreaver')}/{door}", body, headers=sent, timeout=10)
            assert answer.status_code in expected, (door, answer.status_code, answer.text)
            self.said.append(answer.text + str(answer.headers))

    @property
    def typed(self):
        """Commands, each with the settings that are different for it: mistakes, and a sync of all accounts."""
        place = urlsplit(self.settings.database_url)
        wrong_password = f"postgresql://{place.username}:{SECRET}@{place.hostname}:{place.port}{place.path}"
        syncs = f"[sync_account.delay('retreaver', account=name, mode='full') for name in {MODES!r}]"
        return [
            *(({}, words) for words in MISTAKES),
            ({}, ["shell", "-c", syncs]),
            (WRONG_SETTINGS, ["env"]),
            (WRONG_SETTINGS, ["doctor"]),
            ({"DATABASE_URL": wrong_password}, ["doctor"]),
        ]

    def commands(self, typed=()):
        """What these commands say, or all that list something, in one process: starting takes longer than running."""
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, json.dumps(typed)],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert "every command was tried" in done.stdout, done.stdout
        return done.stdout


def letters():
    """What is posted: the answers that it may get, the door with its query, the body, and the headers."""
    good, odd, poison = (
        json.dumps({"event": "completed", "call": call}).encode()
        for call in (RECORD, ODD, {**RECORD, "uuid": f"{UUID}03", "caller_city": POISON})
    )
    signed = HmacSha256().sign
    yield {202}, "calls", good, signed(good, HOOK)
    yield {202}, "calls", odd, signed(odd, HOOK)
    yield {202}, "calls", poison, signed(poison, HOOK)
    yield {202, 503}, "full", good, signed(good, HOOK)
    yield {401}, "calls", good, signed(good, f"{SECRET}-wrong")
    yield {401}, "calls", good, {"X-Signature": f"{SECRET}-in-plain"}
    yield {401}, f"calls?api_key={SECRET}&note={BODY}", good, {"Authorization": f"Bearer {SECRET}"}
    yield {422}, "calls", good[:-3], signed(good[:-3], HOOK)
    yield {415}, "calls", good, {**signed(good, HOOK), "Content-Type": f"text/{BODY}"}
    yield {404}, f"unknown?token={SECRET}", good, signed(good, HOOK)


WRONG_SETTINGS = {
    "DATABASE_URL": f"mysql://user:{SECRET}@host/db",
    "REDIS_URL": f"http://:{SECRET}@host",
    "CALLTRACK_SECRET_KEYS": f"k1:{SECRET}",
}
MISTAKES = [
    ["accounts", "add", "retreaver", "--set", f"{SECRET}"],
    ["accounts", "add", "retreaver", "--set", f"api_key={SECRET}", "--set", f"api_key={SECRET}"],
    ["accounts", "add", "convoso", "--set", f"auth_token={SECRET}"],
    ["accounts", "add", "retreaver", "--name", "calls", "--set", f"api_key={SECRET}"],
    ["accounts", "update", "retreaver/calls", "--set", f"api_key={SECRET}-new", "--webhook-secret", HOOK],
    ["accounts", "update", "retreaver/calls", "--set", f"api_key={SECRET}", "--set", "region=Mars"],
    ["accounts", "update", "retreaver/calls", "--api-url", f"https://user:{SECRET}@host/?api_key={SECRET}"],
    ["accounts", "check", "retreaver/refused"],
    ["accounts", "check", "retreaver/html"],
    ["credentials", "rotate", "--dry-run"],
    ["credentials", "add-key"],
]
#: Runs commands in one process, and says what they say and how they fail. None given: all that list something.
COMMANDS = """
import json, os, sys, traceback
from calltrack import cli, config
from calltrack.db import session

def lists():
    for words in (["env"], ["alerts"], ["audit", "verify"], ["audit", "head"], ["runs", "show", "1"]):
        yield {}, words
    for name in cli.COMMANDS:
        command = cli.calltrack.get_command(None, name)
        if "list" in getattr(command, "commands", {}):
            yield {}, [name, "list"]
            yield {}, [name, "list", "--json"]
    yield {"CALLTRACK_SECRET_KEYS": "newer:" + os.environ["CALLTRACK_SECRET_KEYS"][5:]}, ["credentials", "rotate"]

as_usual = dict(os.environ)
for environ, words in json.loads(sys.argv[1]) or lists():
    print("$", *words[:2], flush=True)
    os.environ |= as_usual | environ
    config.settings.cache_clear()
    session.engine.cache_clear()
    sys.argv = ["calltrack", *words]
    try:
        cli.main()
    except SystemExit as end:
        print(end.code, flush=True)
    except BaseException:
        traceback.print_exc()
print("every command was tried")
"""


def marks(text, *wanted):
    """Where the marks are, with what is around them: for the failure's message."""
    return [text[max(0, found.start() - 200) : found.end() + 60] for found in re.finditer("|".join(wanted), text)]


def test_the_marks_are_where_they_belong(place):
    """Else the other tests would search for what is nowhere."""
    (stored, *_) = place.rows(
        "SELECT body FROM sync_pages JOIN provider_configs a ON a.id = account_id WHERE name = 'calls'"
    )
    assert BODY in zlib.decompress(stored[0]).decode()
    assert BODY in place.rows("SELECT string_agg(provider_data::text, '') FROM calls")[0][0]
    assert all(f"api_key={SECRET}-" in asked for asked in Hostile.asked)
    assert {urlsplit(asked).path.split("/")[1] for asked in Hostile.asked} == set(MODES)
    assert f"{UUID}01" in repr(place.rows("SELECT external_id FROM calls"))


def test_logs_show_nothing(place):
    for said in ("sync run stopped", "page parked", "could not be processed", "Traceback"):
        assert said in place.output
    assert marks(place.output, SECRET, BODY) == []


def test_the_logs_of_the_servers_show_nothing(place):
    logs = "".join(path.read_text(errors="replace") for path in place.server_logs.iterdir())
    assert "violates check constraint" in logs
    assert marks(logs, SECRET, BODY) == []


def test_answers_to_senders_and_what_commands_say_show_nothing(place):
    listed = place.commands()
    said = "\n".join(place.said)
    assert listed.count("\n$ ") > 12
    assert said.count("$ ") == len(MISTAKES) + 4
    assert "retreaver/refused" in listed
    assert re.search(r"celery@\S+ and perhaps other processes do not have key 'newer'", listed)
    assert "Traceback" not in said + listed
    assert marks(said + listed, SECRET, BODY) == []


def test_messages_and_results_in_the_broker_show_nothing(place):
    heard = place.wire.heard
    for said in ("calltrack.fetch_page", "task-succeeded", "task-failed", "celery-task-meta", "page_id"):
        assert said in heard
    assert marks(heard, SECRET, BODY) == []


def test_flower_shows_nothing(place):
    flower = f"http://127.0.0.1:{place.settings.flower_port}"
    tasks = set(re.findall(r'"uuid": ?"([0-9a-f-]{36})"', place.wire.heard))
    paths = ["tasks", "workers", "broker", "api/tasks", *(f"task/{one}" for one in tasks)]
    shown = "".join(requests.get(f"{flower}/{path}", timeout=10).text for path in paths)
    assert "retreaver page 1 of run" in shown
    assert "CheckViolation" in shown
    assert marks(shown, SECRET, BODY) == []


#: the columns that hold what was received, and what was made of it
CONTENT = {
    "calls": None,
    "shadow_calls": None,
    "call_events": ("changed",),
    "webhook_logs": ("body", "query"),
    "sync_pages": ("body",),
    "rejected_records": ("raw",),
}


def test_the_database_has_them_in_no_other_place(place):
    tables = [row[0] for row in place.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert set(CONTENT) < set(tables)
    for table in tables:
        rows = place.rows(f"SELECT to_jsonb({table}) FROM {table}")
        assert marks(json.dumps([row[0] for row in rows], ensure_ascii=False), SECRET) == [], table
        columns = CONTENT.get(table, ())
        if columns is None:
            continue
        others = [{name: value for name, value in row[0].items() if name not in columns} for row in rows]
        assert marks(json.dumps(others, ensure_ascii=False), BODY) == [], table


def test_what_was_done_is_recorded_with_who_did_it(place):
    done = place.rows("SELECT action, actor, count(*) FROM audit_log GROUP BY 1, 2")
    assert ("account.changed", f"cli {audit.user()}", 1) in done
    assert ("sync.started", "task calltrack.sync_account", len(MODES)) in done
