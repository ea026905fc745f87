"""The doors under attack: whatever comes gets the documented answer, and leaves no more than a count and a sample."""

import gc
import hmac
import time
import tracemalloc
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import pytest
from sqlalchemy import text

from calltrack import accounts as library
from calltrack.db import accounts
from calltrack.db.credentials import Vault
from calltrack.networks import network
from calltrack.sync import deliveries
from webhooks.app import create_app
from webhooks.refusals import SAMPLES

SECRET = "the-secret-of-the-door"
OTHER_SECRET = "the-secret-of-another-door"
BODY = b'{"event": "completed", "call": {"uuid": "marker-u1", "caller_number": "+15550100001"}}'
DOOR = "/webhooks/retreaver"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
INJECTION = b"'; DROP TABLE webhook_logs; --"


def signed(body, secret=SECRET):
    return {"X-Signature": hmac.digest(secret.encode(), body, "sha256").hex()}


def post(app, body=BODY, path=DOOR, headers=None, peer="127.0.0.1", content_type=JSON, **environ):
    environ = {"CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": peer, **environ}
    headers = signed(body) if headers is None else headers
    return app.test_client().post(
        path, data=body, headers=headers, content_type=content_type, environ_overrides=environ
    )


@pytest.fixture
def settings(settings_env):
    return replace(settings_env(), spool_dir=None)


@pytest.fixture
def vault(settings):
    return Vault(settings.secret_keys)


@pytest.fixture
def add(database, vault):
    def added(name="default", secret=SECRET, **values):
        with database.begin() as connection:
            return library.add(
                connection,
                vault,
                "retreaver",
                name=name,
                values={"api_key": "k"},
                webhook_secrets=[secret],
                scheduled=False,
                **values,
            ).account

    return added


@pytest.fixture
def watchful(monkeypatch):
    """The receiver looks for changed accounts at each delivery."""
    monkeypatch.setattr("webhooks.receiver.FRESH", 0.0)
    monkeypatch.setattr("webhooks.receiver.FRESH_TO_REFUSE", 0.0)
    monkeypatch.setattr("webhooks.accounts.FRESH_TO_REFUSE", 0.0)


@pytest.fixture
def start(settings):
    """Starts the application. It counts refusals by the hour, and that one does not end while a test runs."""
    made, half_past = [], time.time() // 3600 * 3600 + 1800

    def app(**changed):
        made.append(create_app(replace(settings, **changed), publish=lambda _: None, interval=0.01))
        made[-1].extensions["receiver"].refusals._clock = lambda: half_past
        return made[-1]

    yield app
    for one in made:
        one.extensions["receiver"].close()


@pytest.fixture
def app(start, add):
    add()
    add("other", OTHER_SECRET)
    return start()


def rows(database, query, **values):
    with database.connect() as connection:
        return connection.execute(text(query), values).mappings().all()


def landed(database):
    (row,) = rows(database, "SELECT count(*) AS number FROM webhook_logs")
    return row["number"]


def left(app, database):
    """What refusals have left behind."""
    app.extensions["receiver"].refusals.write()
    return rows(database, "SELECT * FROM webhook_refusals ORDER BY door, reason")


# ── each attack ──────────────────────────────────────────────────────────────────────────────────────────────────

NESTED = b'{"marker": ' + b"[" * 2000 + b"]" * 2000 + b"}"
DEEP = b'{"marker": ' + b"[" * 300 + b"]" * 300 + b"}"
LARGE = b'{"marker": "' + b"x" * 1024 * 1024 + b'"}'
ATTACKS = {
    "unsigned": ({"headers": {}}, 401, "bad_signature"),
    "forged": ({"headers": signed(BODY, "guessed-marker")}, 401, "bad_signature"),
    "truncated signature": ({"headers": {"X-Signature": signed(BODY)["X-Signature"][:63]}}, 401, "bad_signature"),
    "truncated body": ({"body": BODY[:-1], "headers": signed(BODY)}, 401, "bad_signature"),
    "another body's": ({"headers": signed(b"{}")}, 401, "bad_signature"),
    "another account's secret": ({"headers": signed(BODY, OTHER_SECRET)}, 401, "bad_signature"),
    "replayed at another account": ({"path": f"{DOOR}/other"}, 401, "bad_signature"),
    "made-up account": ({"path": f"{DOOR}/marker"}, 404, "unknown_door"),
    "made-up provider": ({"path": "/webhooks/marker"}, 404, "unknown_door"),
    "path traversal": ({"path": "/webhooks/..%2f..%2fmarker"}, 404, "unknown_door"),
    "SQL in the path": ({"path": f"{DOOR}/{INJECTION.decode()}marker"}, 404, "unknown_door"),
    "header injection by the path": ({"path": f"{DOOR}/a%0d%0aX-Marker:%20marker"}, 404, "unknown_door"),
    "oversized": ({"body": LARGE}, 413, "too_large"),
    "chunked without length": (
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
        411,
        "length_required",
    ),
    "wrong content type": ({"content_type": "text/marker"}, 415, "unsupported_body"),
    "multipart": ({"content_type": "multipart/form-data; boundary=marker"}, 415, "unsupported_body"),
    "content type with SQL": ({"content_type": INJECTION.decode()}, 415, "unsupported_body"),
    "nested beyond reading": ({"body": NESTED}, 422, "unusable_body"),
    "nested beyond writing": ({"body": DEEP}, 422, "unusable_body"),
    "invalid UTF-8": ({"body": b'{"marker": "\xff\xfe"}'}, 422, "unusable_body"),
    "half a character": ({"body": b'{"marker": "\\ud800"}'}, 422, "unusable_body"),
    "invalid UTF-8 in a form": ({"body": b"marker=%ff", "content_type": FORM}, 422, "unusable_body"),
    "JSON that is a form": ({"content_type": FORM, "body": b'{"marker": 1}'}, 422, "unusable_body"),
    "not an object": ({"body": b'["marker"]'}, 422, "unusable_body"),
    "a number that is none": ({"body": b'{"marker": Infinity}'}, 422, "unusable_body"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gets_its_answer_and_leaves_its_count_and_a_sample(app, database, attack, caplog):
    request, status, reason = ATTACKS[attack]
    answer = post(app, peer="198.51.100.9", **request)
    assert answer.status_code == status
    assert set(answer.json) == {"error", "message"}
    assert "marker" not in str(answer.headers) + answer.text + caplog.text
    assert landed(database) == 0
    traces = left(app, database)
    if reason is None:  # no door at all: Flask's own answer
        assert traces == []
        return
    (trace,) = traces
    assert answer.json["error"] == trace["reason"] == reason
    assert trace["refusals"] == 1
    (sample,) = trace["samples"]
    assert sample == {"at": sample["at"], "source": "198.51.100.9", "detail": answer.json["message"]}
    assert trace["door"] in ("retreaver/default", "retreaver/other", "retreaver", "unknown")


def test_a_replay_lands_once(app, database):
    first = post(app)
    for peer in ("198.51.100.9", "2001:db8::9"):
        again = post(app, path=f"{DOOR}?replayed={peer}", peer=peer)
        assert again.json == {"id": first.json["id"], "status": "duplicate"}
    assert landed(database) == 1


@pytest.mark.parametrize(
    "payload", [INJECTION.decode(), "{{ 7 * 7 }}", "${jndi:ldap://x}", "%s%n %(id)s", "<script>alert(1)</script>"]
)
def test_what_a_signed_payload_says_is_data(app, database, payload):
    """It goes through to the call's row as it stands."""
    call = {"uuid": "u1", "caller_number": payload, "publisher_name": payload, "status": payload}
    body = app.json.dumps({"event": payload, "call": call}).encode()
    headers = {**signed(body), "User-Agent": payload, "X-Request-Id": payload}
    assert post(app, body, headers=headers).status_code == 202
    (row,) = rows(database, "SELECT * FROM webhook_logs")
    assert (bytes(row["body"]), row["event_type"]) == (body, payload[:100])
    assert row["headers"] == {"User-Agent": payload, "X-Request-Id": payload}
    deliveries.drain("retreaver")
    (row,) = rows(database, "SELECT state, error FROM webhook_logs")
    assert row["state"] in ("processed", "rejected"), row["error"]


def test_a_header_with_what_postgres_cannot_hold(app, database):
    """gunicorn lets none through; other servers might."""
    assert post(app, HTTP_USER_AGENT="a\0b").status_code == 202
    assert rows(database, "SELECT headers FROM webhook_logs")[0]["headers"] == {"User-Agent": "ab"}


def test_as_deep_as_is_taken_can_be_worked_off(app, database):
    body = b'{"event": "completed", "call": {"uuid": "u1", "tags": ' + b"[" * 98 + b"]" * 98 + b"}}"
    assert post(app, body).status_code == 202
    deliveries.drain("retreaver")
    (row,) = rows(database, "SELECT state, error FROM webhook_logs")
    assert row["state"] in ("processed", "rejected"), row["error"]


# ── floods ───────────────────────────────────────────────────────────────────────────────────────────────────────


def flood(app, first, requests=25):
    """Made-up providers, accounts and signatures, from ever other addresses."""
    for number in range(first, first + requests):
        peer = str(ip_address("2001:db8::") + number)
        assert post(app, path=f"/webhooks/made-up-{number}", peer=peer).status_code == 404
        assert post(app, path=f"{DOOR}/made-up-{number}", peer=peer).status_code == 404
        assert post(app, headers={"X-Signature": f"{number:064x}"}, peer=peer).status_code == 401
        assert post(app, BODY + b"%d" % number, headers={}, peer=peer, content_type=f"a/{number}").status_code == 401


def test_a_flood_fills_neither_a_table_nor_the_memory(start, add, database):
    add()
    app = start()
    flood(app, 0)
    traces = left(app, database)
    sizes = [len(row["samples"]) for row in traces]
    tracemalloc.start()
    kept = []
    for number in range(1000, 6000, 1000):
        flood(app, number)
        gc.collect()  # what only waits for that is not kept
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    # what is kept is kept of every flood; what the interpreter does now and then is not
    assert min(later - earlier for earlier, later in pairwise(kept)) < 10_000, "bytes kept of 100 refused requests"
    later = left(app, database)
    assert [(row["door"], row["reason"]) for row in later] == [
        ("retreaver", "unknown_door"),
        ("retreaver/default", "bad_signature"),
        ("unknown", "unknown_door"),
    ]
    assert [row["refusals"] for row in later] == [150, 300, 150]
    assert sizes == [SAMPLES] * 3
    assert [row["samples"] for row in later] == [row["samples"] for row in traces], "the first ones of the hour stay"
    assert landed(database) == 0


# ── who may knock ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("peer", "passed_on", "status"),
    [
        ("203.0.113.7", None, 202),
        ("::ffff:203.0.113.7", None, 202),
        ("2001:db8:5::1", None, 202),
        ("198.51.100.9", None, 403),
        ("198.51.100.9", "203.0.113.7", 403),
        ("10.0.0.1", "203.0.113.7", 202),
        ("10.0.0.1", "203.0.113.7, 198.51.100.9", 403),
        ("10.0.0.1", None, 403),
    ],
)
def test_an_account_takes_deliveries_from_its_networks_only(start, add, database, peer, passed_on, status):
    add(allowed_ips=["203.0.113.0/24", "2001:db8:5::/48"])
    app = start(trusted_proxies=(network("10.0.0.0/8"),))
    environ = {} if passed_on is None else {"HTTP_X_FORWARDED_FOR": passed_on}
    answer = post(app, peer=peer, **environ)
    assert answer.status_code == status
    assert landed(database) == (status == 202)
    if status == 403:
        assert answer.json["error"] == "source_refused"
        (trace,) = left(app, database)
        assert (trace["door"], trace["reason"]) == ("retreaver/default", "source_refused")


def test_the_signature_of_a_stranger_is_not_even_looked_at(start, add, monkeypatch):
    add(allowed_ips=["203.0.113.0/24"])
    app = start()
    monkeypatch.setattr("calltrack.signatures.HmacSha256.verify", lambda *_: pytest.fail("looked at"))
    assert post(app, headers={"X-Signature": "0" * 64}).status_code == 403


def test_a_wider_network_is_known_before_the_copy_is_old(watchful, app, add, database, vault, monkeypatch):
    monkeypatch.setattr("webhooks.receiver.FRESH", 60.0)
    west = add("west", allowed_ips=["203.0.113.0/24"])
    assert post(app, path=f"{DOOR}/west").status_code == 403
    with database.begin() as connection:
        library.change(connection, vault, west, values={}, allowed_ips=["127.0.0.0/8"])
    assert post(app, path=f"{DOOR}/west").status_code == 202
    with database.begin() as connection:
        library.change(connection, vault, accounts.get(connection, vault, west.id), values={}, allowed_ips=[])
    assert post(app, path=f"{DOOR}/west", peer="198.51.100.9").status_code == 202


def test_a_receiver_that_knows_the_doors_from_disk_knows_the_networks_too(start, add, settings, tmp_path):
    add(allowed_ips=["203.0.113.0/24"])
    assert post(start(spool_dir=tmp_path), peer="203.0.113.7").status_code == 202
    late = start(spool_dir=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    assert post(late).status_code == 403
    assert post(late, b"{}", peer="203.0.113.7").json["id"].startswith("spool-")


# ── two secrets at once ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_is_replaced_without_a_refusal(watchful, app, add, database, vault):
    """Both fit until the old one is dropped."""
    west = add("west", "old")

    def rotate(added, *, drop_old):
        with database.begin() as connection:
            found = accounts.get(connection, vault, west.id)
            secrets = library.rotated(found, added, drop_old=drop_old)
            library.change(connection, vault, found, values={}, webhook_secrets=secrets)

    def fits(secret):
        return post(app, path=f"{DOOR}/west", headers=signed(BODY, secret)).status_code == 202

    assert (fits("old"), fits("new")) == (True, False)
    rotate(["new"], drop_old=False)
    assert (fits("old"), fits("new")) == (True, True)
    rotate([], drop_old=True)
    assert (fits("old"), fits("new")) == (False, True)
