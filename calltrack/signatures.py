"""Webhook verification schemes. All work on the raw bytes, in constant time, with several valid secrets at once."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from calltrack.errors import BadSignature


class Headers(Protocol):
    """Headers of a request, found whatever their case: a sender or a proxy may write `x-signature`."""

    def get(self, name: str, default: str, /) -> str: ...


class Signature(Protocol):
    """Proves that a delivery comes from somebody who holds one of the account's secrets."""

    @property
    def header(self) -> str:
        """The header that carries the proof."""
        ...

    def verify(self, body: bytes, headers: Headers, secrets: Sequence[str]) -> None:
        """Return where the proof holds for one of the secrets; raise `BadSignature` otherwise."""
        ...

    def sign(self, body: bytes, secret: str) -> dict[str, str]:
        """The headers that a sender with this secret adds."""
        ...


@dataclass(frozen=True)
class HmacSha256:
    """Hex HMAC-SHA256 of the raw body in a header, with an optional `sha256=` before it."""

    header: str = "X-Signature"

    def verify(self, body: bytes, headers: Headers, secrets: Sequence[str]) -> None:
        given = headers.get(self.header, "").strip().lower().removeprefix("sha256=").encode(errors="replace")
        # Every secret is tried, so that the time taken does not tell which one fitted. An empty one is nobody's secret.
        fits = [hmac.compare_digest(given, _hex(body, secret).encode()) for secret in secrets if secret]
        if not any(fits):
            raise BadSignature

    def sign(self, body: bytes, secret: str) -> dict[str, str]:
        return {self.header: _hex(body, secret)}


def _hex(body: bytes, secret: str) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()
