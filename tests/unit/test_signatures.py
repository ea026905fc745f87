"""Webhook signatures, against answers that others published."""

import pytest

from calltrack.errors import BadSignature
from calltrack.signatures import HmacSha256

SCHEME = HmacSha256("X-Signature")

# RFC 4231, test case 2
RFC = (b"what do ya want for nothing?", "Jefe", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
# "Validating webhook deliveries" in GitHub's docs, whose scheme is the same
GITHUB = (
    b"Hello, World!",
    "It's a Secret to Everybody",
    "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
)
BODY, SECRET, DIGEST = GITHUB


def verify(value, body=BODY, secrets=(SECRET,)):
    SCHEME.verify(body, {} if value is None else {"X-Signature": value}, secrets)


@pytest.mark.parametrize(("body", "secret", "digest"), [RFC, GITHUB])
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
