"""Webhook signatures, against answers that others published."""

import hmac

import pytest

from calltrack import signatures
from calltrack.errors import BadSignature
from calltrack.signatures import HmacSha256, Message

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
