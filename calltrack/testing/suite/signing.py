"""A provider's deliveries: good ones pass, and no wrong one does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from calltrack.errors import BadSignature
from calltrack.signatures import PLACES, Message, SharedSecret
from calltrack.testing.recorded import Recorded

SECRET = "a made-up secret"  # noqa: S105 - made up, it opens nothing


def test_a_signature_made_elsewhere_holds(recorded: Recorded) -> None:
    """Made with openssl, say: that we can read what we have written ourselves proves little."""
    known = _known(recorded)
    if known is None:
        pytest.skip("the provider signs nothing: a secret shows who says it")
    signature = recorded.provider.webhook.signature
    assert signature.verify(Message(known["body"].encode(), known["headers"]), ["another", known["secret"]]) is True


def test_a_good_delivery_passes(recorded: Recorded) -> None:
    signature = recorded.provider.webhook.signature
    for message in _good(recorded):
        proved = signature.verify(message, ["another", SECRET])
        assert proved is signature.verify(message, [SECRET, "another"])
        assert proved is (not isinstance(signature, SharedSecret)), "a secret alone proves nothing that is said"


WRONG = ("body", "no proof", "empty proof", "cut proof", "secret", "no secret", "empty secret")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_delivery_is_refused(recorded: Recorded, wrong: str) -> None:
    signature = recorded.provider.webhook.signature
    secrets = {"secret": ["another"], "no secret": [], "empty secret": [""]}.get(wrong, [SECRET])
    for message in _good(recorded):
        signs_bodies = signature.verify(message, [SECRET])
        if wrong == "body" and not signs_bodies:
            assert signature.verify(_spoilt(message, wrong), secrets) is False
            continue
        with pytest.raises(BadSignature):
            signature.verify(_spoilt(message, wrong), secrets)


def test_a_secret_counts_only_where_the_account_expects_it(recorded: Recorded) -> None:
    for message in _good(recorded):
        for place in PLACES:
            if isinstance(recorded.provider.webhook.signature, SharedSecret) and place != message.place:
                with pytest.raises(BadSignature):
                    recorded.provider.webhook.signature.verify(dataclasses.replace(message, place=place), [SECRET])


def _known(recorded: Recorded) -> dict[str, Any] | None:
    """The delivery that was signed elsewhere; None where the provider signs nothing."""
    if isinstance(recorded.provider.webhook.signature, SharedSecret):
        return None
    assert (recorded.folder / "signature.json").exists(), "signature.json is missing: sign a body with openssl, say"
    return dict(recorded.json("signature.json"))


def _good(recorded: Recorded) -> list[Message]:
    """A delivery by every way in which this provider can show the secret."""
    signature, body = recorded.provider.webhook.signature, b'{"made": "up"}'
    messages = [Message(body, signature.sign(body, SECRET))]
    if isinstance(signature, SharedSecret):
        messages.append(Message(body, {}, step=SECRET, place="path"))
        messages.append(Message(body, {}, query=urlencode({signature.param: SECRET}).encode(), place="query"))
    return messages


def _spoilt(message: Message, wrong: str) -> Message:
    if wrong == "body":
        return dataclasses.replace(message, body=message.body + b" ")
    spoil: dict[str, Callable[[str], str]] = {"empty proof": lambda _: "", "cut proof": lambda proof: proof[:-1]}
    if wrong == "no proof":
        return dataclasses.replace(message, headers={}, step="", query=b"")
    if wrong not in spoil:
        return message
    # our own, from `_good`: a dict, where a message's headers are whatever has `get`
    headers = {name: spoil[wrong](proof) for name, proof in dict(message.headers).items()}  # type: ignore[call-overload]
    query = urlencode({name: spoil[wrong](SECRET) for name in _names(message.query)}).encode()
    return dataclasses.replace(message, headers=headers, step=spoil[wrong](message.step), query=query)


def _names(query: bytes) -> list[str]:
    return [pair.partition("=")[0] for pair in query.decode().split("&") if pair]
