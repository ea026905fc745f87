"""Webhook signatures, against answers that others published, and secrets that are shown."""

import hmac
from contextlib import suppress
from itertools import permutations
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from calltrack import signatures
from calltrack.errors import BadSignature
from calltrack.signatures import PLACES, HmacSha256, Message, SharedSecret, url_of, without_secret

SCHEME = HmacSha256("X-Signature")

# RFC 4231, test case 2; 1 and 4 are the others whose keys are text
RFC = (b"what do ya want for nothing?", "Jefe", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
RFC_1 = (b"Hi There", "\x0b" * 20, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
RFC_4 = (
    b"\xcd" * 50,
    "".join(map(chr, range(1, 26))),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
)
# "HMAC" in Wikipedia
FOX = (
    b"The quick brown fox jumps over the lazy dog",
    "key",
    "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
)
# "Validating webhook deliveries" in GitHub's docs, whose scheme is the same
GITHUB = (
    b"Hello, World!",
    "It's a Secret to Everybody",
    "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
)
BODY, SECRET, DIGEST = GITHUB


def verify(value, body=BODY, secrets=(SECRET,)):
    SCHEME.verify(Message(body, {} if value is None else {"X-Signature": value}), secrets)


@pytest.mark.parametrize(("body", "secret", "digest"), [RFC, RFC_1, RFC_4, FOX, GITHUB])
def test_known_answers(body, secret, digest):
    verify(digest, body, [secret])
    assert SCHEME.sign(body, secret) == {"X-Signature": digest}


@pytest.mark.parametrize("value", [f"sha256={DIGEST}", DIGEST.upper(), f"SHA256={DIGEST.upper()}", f" {DIGEST} "])
def test_spellings_of_a_good_one(value):
    verify(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "sha256=",
        DIGEST[:-1],
        DIGEST + "0",
        f"sha1={DIGEST}",
        f"sha256=sha256={DIGEST}",
        f"{DIGEST}, {DIGEST}",
        RFC[2],
        "é" * 64,
        "\udc80",
    ],
)
def test_bad_ones(value):
    with pytest.raises(BadSignature):
        verify(value)


def test_the_body_is_taken_byte_for_byte():
    with pytest.raises(BadSignature):
        verify(DIGEST, BODY + b"\n")


@pytest.mark.parametrize("secrets", [("new", SECRET), (SECRET, "old")])
def test_any_of_several_secrets(secrets):
    verify(DIGEST, secrets=secrets)


@pytest.mark.parametrize("secrets", [(), ("",), ("", "other")])
def test_no_secret_lets_nobody_in(secrets):
    with_empty_key = SCHEME.sign(BODY, "")["X-Signature"]
    for value in (with_empty_key, DIGEST, "", None):
        with pytest.raises(BadSignature):
            verify(value, secrets=secrets)


@pytest.mark.parametrize(
    "value",
    [
        DIGEST,
        SCHEME.sign(BODY, "new")["X-Signature"],
        "0" + DIGEST[1:],
        DIGEST[:-1] + "0",
        "0" * 64,
        DIGEST[:9],
        "",
        None,
    ],
)
def test_the_work_is_the_same_wherever_it_fails(value, monkeypatch):
    """Each secret's digest is taken, and compared in constant time: nothing to learn from how long an answer takes."""
    taken, compared = [], []
    digest, compare = hmac.digest, hmac.compare_digest

    class Counting:
        @staticmethod
        def digest(key, *rest):
            taken.append(key)
            return digest(key, *rest)

        @staticmethod
        def compare_digest(one, other):
            compared.append((type(one), len(other)))
            return compare(one, other)

    monkeypatch.setattr(signatures, "hmac", Counting)
    try:
        verify(value, secrets=("new", SECRET, "old"))
    except BadSignature:
        assert value not in (DIGEST, SCHEME.sign(BODY, "new")["X-Signature"])
    assert taken[:3] == [b"new", SECRET.encode(), b"old"]
    assert compared == [(bytes, 64)] * 3


# ── what a signature over nothing, or over a query, is worth ──


def test_a_signature_over_the_query_is_proof_and_one_over_nothing_is_not():
    query = b"call_uuid=c-1&revenue=45"
    for signed, proved in ((query, True), (b"", False)):
        message = Message(b"", SCHEME.sign(signed, SECRET), query)
        assert SCHEME.verify(message, [SECRET]) is proved
    assert SCHEME.verify(Message(BODY, {"X-Signature": DIGEST}, query), [SECRET]) is True


# ── secrets that are shown ──

SHARED = SharedSecret()
NEW, OLD = "n3w-secret_of.44~letters", "0ld-secret"


def shown(place, secret, *, expected=None):
    """A message that shows this secret in this place, at the door of an account that expects it in another one."""
    headers = {SHARED.header: secret} if place == "header" else {}
    query = b"a=1&" + urlencode({SHARED.param: secret}).encode() + b"&b=2" if place == "query" else b"a=1"
    return Message(b"{}", headers, query, secret if place == "path" else "", expected or place)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secrets", [(NEW,), (NEW, OLD), (OLD, NEW), ("", NEW)])
def test_a_shown_secret_says_who_it_is_and_proves_nothing_that_is_said(place, secrets):
    assert SHARED.verify(shown(place, NEW), secrets) is False


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "wrong", ["", " ", "another", NEW[:-1], NEW + "x", NEW.upper(), OLD + NEW, f"{NEW},{OLD}", "é"]
)
def test_another_secret_is_refused(place, wrong):
    with pytest.raises(BadSignature):
        SHARED.verify(shown(place, wrong), (NEW, OLD))


@pytest.mark.parametrize(("place", "expected"), list(permutations(PLACES, 2)))
def test_a_secret_in_the_wrong_place_is_refused(place, expected):
    with pytest.raises(BadSignature):
        SHARED.verify(shown(place, NEW, expected=expected), (NEW,))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
def test_an_account_without_a_secret_lets_nobody_in(place, secrets):
    for claimed in ("", NEW):
        with pytest.raises(BadSignature):
            SHARED.verify(shown(place, claimed), secrets)


def test_what_is_no_text_is_refused_too():
    for message in (
        shown("header", "\udc80"),
        shown("path", "\udc80"),
        Message(b"", {}, b"secret=%ff\xff", "", "query"),
    ):
        with pytest.raises(BadSignature):
            SHARED.verify(message, (NEW, OLD))


def test_blanks_around_a_header_are_not_a_part_of_it():
    assert SHARED.verify(Message(b"", {SHARED.header: f" {NEW} "}), (NEW,)) is False


def test_letters_that_a_query_must_escape_are_read_back():
    secret = "a+b/c=d&e %é"
    assert SHARED.verify(shown("query", secret), (secret,)) is False
    (opened,) = parse_qs(urlsplit(url_of("https://x.example/w", SHARED, "query", secret)).query)[SHARED.param]
    assert opened == secret


@pytest.mark.parametrize("claimed", [NEW, OLD, "", "x", NEW[:-1], "x" * 5000])
def test_the_work_is_the_same_whatever_is_shown(claimed, monkeypatch):
    """What is compared is of one length, and every secret is, even behind one that fits."""
    taken, compared = [], []
    digest, compare = hmac.digest, hmac.compare_digest

    class Counting:
        @staticmethod
        def digest(key, text, kind):
            taken.append(text)
            return digest(key, text, kind)

        @staticmethod
        def compare_digest(one, other):
            compared.append((type(one), len(one), len(other)))
            return compare(one, other)

    monkeypatch.setattr(signatures, "hmac", Counting)
    with suppress(BadSignature):
        SHARED.verify(shown("header", claimed), (NEW, OLD, "third"))
    assert compared == [(bytes, 32, 32)] * 3
    assert {NEW.encode(), OLD.encode(), b"third"} <= set(taken)


def test_the_place_of_a_secret_in_the_url_that_is_given_to_the_provider():
    base = "https://calls.example/webhooks/p/main"
    assert url_of(base, SHARED, "header", NEW) == base
    assert url_of(base, SHARED, "path", NEW) == f"{base}/{NEW}"
    assert url_of(base, SHARED, "query", NEW) == f"{base}?secret={NEW}"
    assert url_of(base, SCHEME, "query", NEW) == base
    assert SHARED.sign(b"whatever", NEW) == {"X-Calltrack-Secret": NEW}


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("a=1&secret=s3cret&b=2", "a=1&b=2"),
        ("secret=s3cret", ""),
        ("secret=s3cret&secret=s3cret&b=", "b="),
        ("secret", ""),
        ("a=x%20y&secret=s3cret&n=%E9", "a=x+y&n=%E9"),
        ("a=1&b=%20", "a=1&b=%20"),
        ("secrets=1&my_secret=2", "secrets=1&my_secret=2"),
        ("", ""),
    ],
)
def test_a_query_is_kept_without_the_secret(query, kept):
    assert without_secret(query, SHARED) == kept
    assert "s3cret" not in without_secret(query, SHARED)


def test_a_query_that_is_signed_is_kept_as_it_is():
    query = "secret=s3cret&b=%20"
    assert without_secret(query, SCHEME) == query


def test_a_message_is_never_shown():
    message = Message(b"s3cret", {"X": "s3cret"}, b"s3cret", "s3cret")
    assert "s3cret" not in f"{message} {message!r}"
