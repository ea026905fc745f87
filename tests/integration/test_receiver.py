"""The receiver's application on real Postgres: what lands, what is refused, and what happens while Postgres is away."""

import hmac
import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from calltrack import registry
from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration
from webhooks import connections
from webhooks.app import create_app
from webhooks.receiver import MAX_BODY

SECRET = "the-newest-webhook-secret"
OLD_SECRET = "the-webhook-secret-before"
BODY = b'{"event": "completed", "call": {"uuid": "u1", "caller_number": "+15550100001"}}'
DOOR = "/webhooks/retreaver"


def signed(body, secret=SECRET, header="X-Signature"):
    return {header: hmac.digest(secret.encode(), body, "sha256").hex()}


def post(app, body=BODY, path=DOOR, headers=None, **options):
    headers = signed(body) if headers is None else headers
    # The client leaves the length of an empty body out, which senders do not.
    length = {"CONTENT_LENGTH": str(len(body))}
    options = {"content_type": "application/json", "environ_overrides": length, **options}
    return app.test_client().post(path, data=body, headers=headers, **options)


def row(database, columns="*"):
    with database.connect() as connection:
        return connection.execute(text(f"SELECT {columns} FROM webhook_logs")).mappings().one()


def count(database, table="webhook_logs"):
    with database.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


@pytest.fixture
def settings(settings_env):
    """Without a spool: what cannot be landed is told."""
    return replace(settings_env(), spool_dir=None)


@pytest.fixture
def add(database, settings):
    """Adds an account."""

    def added(provider="retreaver", name="default", webhook_secrets=(SECRET, OLD_SECRET)):
        with database.begin() as connection:
            return accounts.insert(
                connection,
                Vault(settings.secret_keys),
                provider=provider,
                name=name,
                api_url="http://127.0.0.1:1",
                secrets={"api_key": "k"},
                webhook_secrets=webhook_secrets,
                settings={},
            )

    return added


@pytest.fixture
def account(add):
    return add()


@pytest.fixture
def make(settings):
    """Makes applications, and closes them. Each has a list of the providers it rang for, as `app.rung`."""
    made = []

    def app(found=settings):
        rung = []
        made.append(create_app(found, publish=rung.append, interval=0.01))
        made[-1].rung = rung
        return made[-1]

    yield app
    for one in made:
        one.extensions["receiver"].close()


@pytest.fixture
def app(make, database):
    return make()


# ── what lands ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_delivery_lands_byte_for_byte(app, account, database):
    body = b' {"event":"completed", "call":{"uuid":"\xc3\xa9"}}\n'
    headers = {**signed(body), "User-Agent": "sender/1.0", "Cookie": "private"}
    answer = post(app, body, f"{DOOR}?x=1", headers, content_type="application/json; charset=utf-8")
    assert answer.status_code == 202
    landed = row(database)
    assert answer.json == {"id": landed["id"], "status": "accepted"}
    assert bytes(landed["body"]) == body
    expected = {
        "account_id": account,
        "provider": "retreaver",
        "event_type": "completed",
        "content_type": "application/json; charset=utf-8",
        "query": "x=1",
        "headers": {"User-Agent": "sender/1.0"},
        "signature": headers["X-Signature"],
        "verified": True,
        "state": "received",
        "repeats": 0,
        "attempts": 0,
    }
    assert {name: landed[name] for name in expected} == expected


def test_the_bell_rings_after_it(app, account):
    post(app)
    deadline = time.monotonic() + 10
    while not app.rung:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert app.rung == ["retreaver"]


def test_the_same_again_is_a_duplicate(app, account, database):
    first, second, third = post(app), post(app), post(app, path=f"{DOOR}?replayed=1")
    assert first.json["status"] == "accepted"
    assert second.json == third.json == {"id": first.json["id"], "status": "duplicate"}
    assert second.status_code == 202
    assert row(database, "repeats") == {"repeats": 2}


def test_the_same_at_once_lands_once(app, account, database):
    together = threading.Barrier(8)

    def send(_):
        together.wait(10)
        return post(app).json

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert len({answer["id"] for answer in answers}) == 1
    assert sorted(answer["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 7
    assert row(database, "repeats") == {"repeats": 7}


@pytest.mark.parametrize(
    ("provider", "path", "event"),
    [
        (name, path, event)
        for name in registry.names()
        for path, event in {
            f"/webhooks/{name}": "",
            f"/webhooks/{name}/default": "",
            f"/webhooks/{name}/": "",
            **registry.get(name).webhook.paths,
        }.items()
    ],
)
def test_every_door_of_every_provider(app, add, database, provider, path, event):
    add(provider)
    webhook = registry.get(provider).webhook
    body = json.dumps({webhook.event_fields[0]: "stated"}).encode()
    proof = {name.upper(): value for name, value in webhook.signature.sign(body, SECRET).items()}
    assert post(app, body, path, proof).status_code == 202
    assert row(database, "provider, event_type") == {"provider": provider, "event_type": event or "stated"}


def test_each_account_has_its_door_and_its_secret(app, add, database):
    add(name="default")
    west = add(name="west", webhook_secrets=["of the west"])
    assert post(app, path=f"{DOOR}/west").status_code == 401
    assert post(app, path=f"{DOOR}/west", headers=signed(BODY, "of the west")).status_code == 202
    assert row(database, "account_id") == {"account_id": west}


def test_a_form(app, account, database):
    body = b"trigger=answered&call_uuid=u1"
    assert post(app, body, content_type="application/x-www-form-urlencoded").status_code == 202
    landed = row(database)
    assert (bytes(landed["body"]), landed["event_type"]) == (body, "answered")


def test_a_signed_query(app, account, database):
    query = "event=completed&call_uuid=u1&note=%5Bempty%5D"
    answer = post(app, b"", f"{DOOR}?{query}", signed(query.encode()), content_type=None)
    assert answer.status_code == 202
    landed = row(database)
    assert (landed["query"], landed["event_type"], landed["verified"]) == (query, "completed", True)


def test_a_query_beside_a_signed_empty_body_is_let_in_unverified(app, account, database):
    """The sender knows the secret, but its signature is the same for every query: it proves no word of this one."""
    answer = post(app, b"", f"{DOOR}?call_uuid=u1", signed(b""), content_type=None)
    assert answer.status_code == 202
    assert row(database, "verified, signature, event_type") == {
        "verified": False,
        "signature": None,
        "event_type": None,
    }


def test_a_query_needs_no_content_length(app, account):
    headers = signed(b"call_uuid=u1")
    assert app.test_client().post(f"{DOOR}?call_uuid=u1", headers=headers).status_code == 202


def test_text_that_postgres_cannot_hold(app, account, database):
    body = b'{"event": "a\\u0000b"}'
    assert post(app, body).status_code == 202
    assert row(database, "event_type") == {"event_type": "ab"}


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


def refused(answer, status, reason):
    assert (answer.status_code, answer.json["error"]) == (status, reason)
    assert answer.json["message"].endswith(".")
    return True


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_every_secret_of_the_account_fits(app, account, secret, prefix):
    assert post(app, headers={"X-Signature": prefix + signed(BODY, secret)["X-Signature"]}).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signature": ""},
        {"X-Signature": signed(BODY)["X-Signature"][:-2]},
        {"X-Signature": "é"},
        signed(BODY, "guessed"),
        signed(BODY + b" "),
        signed(b""),
        signed(BODY, header="x-convoso-signature"),
    ],
)
def test_a_bad_signature(app, account, database, headers):
    assert refused(post(app, headers=headers), 401, "bad_signature")
    assert count(database) == 0
    assert not app.rung


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_an_account_without_a_secret_refuses_everything(app, add, database, secrets):
    add(webhook_secrets=secrets)
    for headers in ({}, signed(BODY, ""), signed(BODY), {"X-Signature": ""}):
        assert refused(post(app, headers=headers), 401, "bad_signature")
    assert count(database) == 0


@pytest.mark.parametrize("path", ["/webhooks/nobody", f"{DOOR}/nobody", "/webhooks/__init__", "/webhooks/convoso"])
def test_an_unknown_door(app, account, path):
    assert refused(post(app, path=path), 404, "unknown_door")


def test_a_disabled_account_has_no_door_until_it_is_enabled(app, account, database, monkeypatch):
    monkeypatch.setattr("webhooks.accounts.FRESH_TO_REFUSE", 0.0)
    with database.begin() as connection:
        accounts.set_active(connection, account, active=False)
    assert refused(post(app), 404, "unknown_door")
    with database.begin() as connection:
        accounts.set_active(connection, account, active=True)
    assert post(app).status_code == 202


def test_a_new_secret_fits_before_the_copy_is_old(app, account, database, settings, monkeypatch):
    monkeypatch.setattr("webhooks.receiver.FRESH_TO_REFUSE", 0.0)
    assert post(app).status_code == 202
    vault = Vault(settings.secret_keys)
    with database.begin() as connection:
        old = accounts.get(connection, vault, account)
        accounts.save(connection, vault, replace(old, webhook_secrets=("rotated",)))
    assert post(app, headers=signed(BODY, "rotated")).status_code == 202


def test_no_content_length(app, account):
    assert refused(app.test_client().post(DOOR, headers=signed(b"")), 411, "length_required")


def test_a_chunked_body(app, account):
    """As WSGI servers hand it on."""
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    answer = app.test_client().post(f"{DOOR}?a=1", data=BODY, headers=signed(BODY), environ_overrides=environ)
    assert refused(answer, 411, "length_required")


def test_the_largest_body(app, account, database):
    largest = b'{"a": "' + b"x" * (MAX_BODY - 9) + b'"}'
    assert len(largest) == MAX_BODY
    assert post(app, largest).status_code == 202
    assert refused(post(app, largest + b" "), 413, "too_large")
    assert count(database) == 1


def test_the_limit_can_be_set(make, account, settings):
    app = make(replace(settings, environ={**settings.environ, "WEBHOOK_MAX_BYTES": str(len(BODY))}))
    assert post(app).status_code == 202
    assert refused(post(app, BODY + b" "), 413, "too_large")


@pytest.mark.parametrize("text", ["0", "-1", "1 MB", "1e6"])
def test_a_limit_that_is_none(make, settings, text):
    with pytest.raises(FixConfiguration, match="WEBHOOK_MAX_BYTES"):
        make(replace(settings, environ={**settings.environ, "WEBHOOK_MAX_BYTES": text}))


@pytest.mark.parametrize("content_type", [None, "text/plain", "multipart/form-data; boundary=x"])
def test_another_kind_of_body(app, account, content_type):
    assert refused(post(app, content_type=content_type), 415, "unsupported_body")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": "\xff"}', b"[" * 50_000])
def test_an_unusable_body(app, account, body):
    assert refused(post(app, body), 422, "unusable_body")


class Silent:
    """The wire to a sender that says no more."""

    def read(self, _=-1):
        raise BlockingIOError


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize("wire", [Silent(), BytesIO(b"{")])
def test_a_body_that_stops_before_its_end(app, account, wire, terminated):
    environ = {"CONTENT_LENGTH": "100", "wsgi.input": wire, "wsgi.input_terminated": terminated}
    assert refused(app.test_client().post(DOOR, environ_overrides=environ), 408, "cut_off")


def test_a_large_body_that_stops_before_its_end(app, account):
    environ = {"CONTENT_LENGTH": str(MAX_BODY + 1), "wsgi.input": Silent()}
    assert refused(app.test_client().post(DOOR, environ_overrides=environ), 413, "too_large")


def test_a_forged_delivery_is_not_even_read(app, account):
    assert refused(post(app, b"{", headers={}, content_type="text/plain"), 401, "bad_signature")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("DELETE", DOOR, 405), ("POST", "/", 404), ("GET", "/webhooks", 404)]
)
def test_other_requests_are_answered_in_json_too(app, method, path, status):
    answer = app.test_client().open(path, method=method)
    assert answer.status_code == status
    assert set(answer.json) == {"error", "message"}


def test_refusals_are_counted_not_stored(app, account, database):
    for number in range(20):
        post(app, headers={"X-Signature": f"forged {number}"})
        post(app, path=f"/webhooks/made-up-{number}")
        post(app, path=f"{DOOR}/made-up-{number}")
    assert count(database, "webhook_refusals") == 0
    app.extensions["receiver"].close()
    with database.connect() as connection:
        found = connection.execute(text("SELECT door, reason, sum(refusals)::int FROM webhook_refusals GROUP BY 1, 2"))
        assert set(map(tuple, found)) == {
            ("retreaver/default", "bad_signature", 20),
            ("retreaver", "unknown_door", 20),
            ("unknown", "unknown_door", 20),
        }


# ── what is nobody's fault but ours ──────────────────────────────────────────────────────────────────────────────


class Wire:
    """A TCP proxy before Postgres that can be cut, and that can go silent."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends = []
        self._flows = threading.Event()
        self._flows.set()
        self.whole = True
        self.url = url.replace(
            parts.netloc, parts.netloc.replace(str(parts.port), str(self._listener.getsockname()[1]))
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.whole = False
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self.whole = True

    def silence(self):
        """Let what is connected hang; nobody else gets through."""
        self.whole = False
        self._flows.clear()

    def close(self):
        self._listener.close()
        self._flows.set()
        self.cut()

    def _accept(self):
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=[one, other], daemon=True).start()

    def _carry(self, one, other):
        try:
            while data := one.recv(65536):
                self._flows.wait(30)
                other.sendall(data)
        except OSError:
            pass
        finally:
            other.close()


@pytest.fixture
def wire(postgres):
    made = Wire(postgres.url)
    yield made
    made.close()


@pytest.fixture
def wired(make, wire, settings, account):
    """An application behind the wire, that has landed something already."""
    app = make(replace(settings, database_url=wire.url))
    assert post(app).status_code == 202
    return app


@pytest.fixture
def restless(monkeypatch):
    monkeypatch.setattr(connections, "REST", 0.0)


def test_postgres_away_from_the_start(make, settings):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    app = make(replace(settings, database_url=f"postgresql://nobody:pass-word@127.0.0.1:{port}/none"))
    began = time.monotonic()
    answer = post(app)
    assert refused(answer, 503, "not_landed")
    assert answer.headers["Retry-After"]
    assert time.monotonic() - began < 5


def test_postgres_away_for_a_while(wired, wire, database, restless):
    wire.cut()
    for number in range(3):
        body = b'{"n": %d}' % number
        assert refused(post(wired, body), 503, "not_landed")
    wire.mend()
    assert post(wired, b'{"n": 9}').json["status"] == "accepted"
    assert count(database) == 2


def test_connections_that_died_are_replaced_without_anybody_noticing(wired, database):
    together = threading.Barrier(4)

    def send(number):
        together.wait(10)
        return post(wired, b'{"n": %d}' % number).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, range(4))) == {202}
    with database.begin() as connection:
        ended = connection.execute(
            text(
                "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
                " WHERE application_name = 'calltrack receiver'"
            )
        )
        assert ended.scalar_one() >= 1
    assert post(wired, b'{"n": 99}').status_code == 202


@pytest.mark.parametrize("fresh", [0.0, 5.0])
def test_a_postgres_that_answers_no_more(wired, wire, monkeypatch, fresh):
    """Neither landing nor reading the accounts waits for it for long."""
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    monkeypatch.setattr("webhooks.receiver.FRESH", fresh)
    wire.silence()
    began = time.monotonic()
    assert refused(post(wired, b'{"n": 1}'), 503, "not_landed")
    assert time.monotonic() - began < 5


def test_after_a_failed_try_senders_are_told_at_once(wired, wire, monkeypatch):
    wire.cut()
    assert refused(post(wired, b'{"n": 1}'), 503, "not_landed")
    monkeypatch.setattr(connections.ImpatientConnection, "connect", lambda *_, **__: pytest.fail("tried again"))
    assert refused(post(wired, b'{"n": 2}'), 503, "not_landed")


def test_a_table_that_is_locked(make, account, database, monkeypatch):
    monkeypatch.setattr(connections, "STATEMENT_TIMEOUT", 100)
    app = make()
    with database.begin() as migration:
        migration.execute(text("LOCK TABLE webhook_logs"))
        assert refused(post(app), 503, "not_landed")
    assert post(app).status_code == 202


def test_an_account_removed_a_moment_ago(app, account, database, monkeypatch):
    assert post(app).status_code == 202
    with database.begin() as connection:
        accounts.remove(connection, account)
    assert refused(post(app, b"{}"), 503, "not_landed")
    monkeypatch.setattr("webhooks.receiver.FRESH", 0.0)
    assert refused(post(app, b"{}"), 404, "unknown_door")


def test_an_account_whose_key_is_lost_closes_only_its_own_door(app, add, database):
    add()
    lost = add(name="lost")
    with database.begin() as connection:
        connection.execute(
            text("UPDATE provider_configs SET credentials = 'v1:gone:AAAA:AAAA' WHERE id = :id"), {"id": lost}
        )
    assert refused(post(app, path=f"{DOOR}/lost"), 503, "not_landed")
    assert post(app).status_code == 202


def test_a_fault_of_ours_is_told_without_details(app, account, monkeypatch, caplog):
    def broken(*_):
        raise ValueError("inner workings")

    monkeypatch.setattr("webhooks.receiver.inbox.read", broken)
    answer = post(app)
    assert refused(answer, 500, "internal_error")
    assert b"inner" not in answer.data
    assert "inner workings" in caplog.text


def test_no_body_and_no_secret_in_the_logs(app, account, caplog):
    caplog.set_level(logging.DEBUG)
    body = b'{"marker": "in-the-body"'
    post(app, body)
    post(app, body, headers={"X-Signature": "in-the-signature"})
    post(app, body, f"{DOOR}?token=in-the-query")
    assert "deliveries are refused" in caplog.text
    assert "in-the-" not in caplog.text
    assert SECRET not in caplog.text


# ── the spool ──


@pytest.fixture
def spooling(make, wire, settings, account, tmp_path, restless):
    """An application with a spool, behind the wire, that has landed something already."""
    app = make(replace(settings, database_url=wire.url, spool_dir=tmp_path / "spool"))
    assert post(app).status_code == 202
    return app


def drained(app, database, number):
    """Whether so many deliveries are landed, soon."""
    deadline = time.monotonic() + 10
    while count(database) != number and time.monotonic() < deadline:
        app.extensions["receiver"].chores.wake()
        time.sleep(0.01)
    return count(database) == number


def test_while_postgres_is_away_deliveries_are_kept_on_disk(spooling, wire, database, tmp_path):
    wire.cut()
    answers = [post(spooling, b'{"n": %d}' % number) for number in range(3)]
    assert {(answer.status_code, answer.json["status"]) for answer in answers} == {(202, "accepted")}
    assert len({answer.json["id"] for answer in answers}) == 3
    before = datetime.now(UTC)
    assert refused(post(spooling, b'{"n": 9}', headers={"X-Signature": "f" * 64}), 401, "bad_signature")
    files = list((tmp_path / "spool").glob("*.delivery"))
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    spooling.rung.clear()
    wire.mend()
    assert drained(spooling, database, 4)
    assert list((tmp_path / "spool").glob("*.delivery")) == []
    with database.connect() as connection:
        rows = connection.execute(text("SELECT body, received_at, verified FROM webhook_logs ORDER BY id")).all()
    assert [bytes(row.body) for row in rows[1:]] == [b'{"n": %d}' % number for number in range(3)]
    assert all(row.received_at < before and row.verified for row in rows)
    deadline = time.monotonic() + 10
    while not spooling.rung and time.monotonic() < deadline:
        time.sleep(0.01)
    assert spooling.rung


def test_a_delivery_that_was_landed_and_spooled_is_there_once(spooling, wire, database):
    wire.cut()
    post(spooling, b'{"n": 1}')
    post(spooling, b'{"n": 1}')
    wire.mend()
    assert drained(spooling, database, 2)
    assert post(spooling, b'{"n": 1}').json["status"] == "duplicate"


def test_a_receiver_that_starts_while_postgres_is_away_knows_the_doors(
    spooling, make, settings, wire, tmp_path, account
):
    wire.cut()
    late = make(replace(settings, database_url=wire.url, spool_dir=tmp_path / "spool"))
    assert post(late, b'{"n": 1}').json["status"] == "accepted"
    assert refused(post(late, b'{"n": 1}', headers={"X-Signature": "0" * 64}), 401, "bad_signature")
    assert SECRET not in (tmp_path / "spool" / "accounts").read_text()


def test_a_spool_that_is_full_or_broken_is_told(make, settings, wire, account, tmp_path, restless):
    full = make(replace(settings, database_url=wire.url, spool_dir=tmp_path / "full", spool_limit=10))
    (tmp_path / "file").write_text("")
    broken = make(replace(settings, database_url=wire.url, spool_dir=tmp_path / "file" / "spool"))
    for app in (full, broken):
        assert post(app).status_code == 202
    wire.cut()
    for app in (full, broken):
        assert refused(post(app, b'{"n": 1}'), 503, "not_landed")


def test_what_no_account_wants_any_more_is_set_aside(spooling, wire, database, account, tmp_path):
    wire.cut()
    post(spooling, b'{"n": 1}')
    with database.begin() as connection:
        accounts.remove(connection, account)
    wire.mend()
    deadline = time.monotonic() + 10
    while not list((tmp_path / "spool" / "set-aside").glob("*")) and time.monotonic() < deadline:
        spooling.extensions["receiver"].chores.wake()
        time.sleep(0.01)
    assert list((tmp_path / "spool").glob("*.delivery")) == []
    assert len(list((tmp_path / "spool" / "set-aside").glob("*"))) == 1


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_alive_and_ready(app):
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "database": "ok", "broker": "unknown"})


def test_alive_but_not_ready_while_postgres_is_away(wired, wire):
    wire.cut()
    assert wired.test_client().get("/healthz").status_code == 200
    answer = wired.test_client().get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (503, "unreachable")


def test_not_ready_without_the_tables(make, settings):
    app = make(replace(settings, database_url=settings.database_url.rpartition("/")[0] + "/template1"))
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (503, "not_migrated")
