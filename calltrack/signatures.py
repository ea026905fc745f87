"""Webhook verification schemes: all in constant time, with several valid secrets at once.

A signature proves what a delivery says. Where a provider signs nothing, a secret proves who says it, and no more: such
a delivery is taken as a hint, and money and conversions are not taken from it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode

from calltrack.errors import BadSignature

#: what an account's setting `secret_in` may say
PLACES = ("header", "path", "query")


class Headers(Protocol):
    """Headers of a request, found whatever their case: a sender or a proxy may write `x-signature`."""

    def get(self, name: str, default: str, /) -> str: ...


@dataclass(frozen=True, repr=False)
class Message:
    """What of a delivery can prove where it comes from. It has no `repr`, for it may hold a secret."""

    body: bytes
    headers: Headers
    #: the raw query string
    query: bytes = b""
    #: the last step of the URL's path, behind the account's name
    step: str = ""
    #: where the account expects its secret: one of `PLACES`
    place: str = PLACES[0]


class Signature(Protocol):
    """Proves that a delivery comes from somebody who holds one of the account's secrets."""

    @property
    def header(self) -> str:
        """The header that carries the proof."""
        ...

    def verify(self, message: Message, secrets: Sequence[str]) -> bool:
        """Whether what the delivery says is proved, and not only who says it. Raises `BadSignature`."""
        ...

    def sign(self, body: bytes, secret: str) -> dict[str, str]:
        """The headers that a sender with this secret adds."""
        ...


@dataclass(frozen=True)
class HmacSha256:
    """Hex HMAC-SHA256 of the raw body in a header, with an optional `sha256=` before it.

    With an empty body it is the query string that speaks. A signature over that is proof; one over the empty body,
    which is all that some senders can do, shows that the sender knows a secret, but not that these are its words.
    """

    header: str = "X-Signature"

    def verify(self, message: Message, secrets: Sequence[str]) -> bool:
        given = message.headers.get(self.header, "").strip().lower().removeprefix("sha256=").encode(errors="replace")
        if message.body:
            self._fits(given, message.body, secrets)
            return True
        try:
            self._fits(given, message.query, secrets)
        except BadSignature:
            self._fits(given, b"", secrets)
            return False
        return True

    def sign(self, body: bytes, secret: str) -> dict[str, str]:
        return {self.header: _hex(body, secret)}

    def _fits(self, given: bytes, signed: bytes, secrets: Sequence[str]) -> None:
        # Every secret is tried, so that the time taken does not tell which one fitted. An empty one is nobody's secret.
        fits = [hmac.compare_digest(given, _hex(signed, secret).encode()) for secret in secrets if secret]
        if not any(fits):
            raise BadSignature


@dataclass(frozen=True)
class SharedSecret:
    """The secret itself, for providers that sign nothing: in a header, as the last step of the path, or in the query.

    Which of them is the account's setting `secret_in`. In the URL it is as secret as the URL is.
    """

    header: str = "X-Calltrack-Secret"
    param: str = "secret"

    def verify(self, message: Message, secrets: Sequence[str]) -> bool:
        shown = self._shown(message).encode(errors="replace")
        fits = [hmac.compare_digest(_digest(shown), _digest(secret.encode())) for secret in secrets if secret]
        if not any(fits):
            raise BadSignature
        return False

    def sign(self, body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG002 - it is the same for every body
        return {self.header: secret}

    def _shown(self, message: Message) -> str:
        if message.place == "path":
            return message.step
        if message.place == "query":
            return parse_qs(message.query.decode("latin-1")).get(self.param, [""])[-1]
        return message.headers.get(self.header, "").strip()


def without_secret(query: str, signature: Signature) -> str:
    """The query string without what proves the sender: it is stored, and shown."""
    param = getattr(signature, "param", None)
    if param is None or param not in unquote(query):
        return query
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True, encoding="latin-1") if pair[0] != param]
    return urlencode(kept, encoding="latin-1")


def url_of(base: str, signature: Signature, place: str, secret: str) -> str:
    """The URL to give to the provider, where the secret stands in it: it is then as secret as that."""
    if not isinstance(signature, SharedSecret) or place == PLACES[0]:
        return base
    return f"{base}/{quote(secret, safe='')}" if place == "path" else f"{base}?{urlencode({signature.param: secret})}"


def _digest(text: bytes) -> bytes:
    """Of one length, whatever the text: comparing texts of different lengths would tell how long the secret is."""
    return hmac.digest(b"calltrack", text, "sha256")


def _hex(body: bytes, secret: str) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()
