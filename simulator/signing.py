"""How a sender proves itself: hex HMAC-SHA256 of the raw body, or a secret that it shows where it is allowed to.

Written out here, not taken from calltrack: a receiver that is tested with its own signatures agrees with itself even
where it is wrong.
"""

from __future__ import annotations

import hashlib
import hmac

HEADERS = {"retreaver": "X-Signature", "convoso": "x-convoso-signature"}

#: where a provider that does not sign shows the account's secret, and the header for it
PLACES = ("header", "query", "path")
SECRET_HEADER = "X-Calltrack-Secret"  # noqa: S105 - its name


def webhook_secret(provider: str) -> str:
    """The secret that the senders share with an account, unless told otherwise."""
    return f"sim-{provider}-webhook-secret"


def signature(body: bytes, secret: str, *, prefixed: bool = False) -> str:
    """The hex digest, with `sha256=` before it if `prefixed`."""
    digest = hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest()
    return f"sha256={digest}" if prefixed else digest
