"""What an operation gives, as JSON: for results of tasks and for `--json`. No records as they came, no secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import quote

from calltrack import log
from calltrack.db.accounts import Account
from calltrack.model import FIELDS, CallRecord

#: behind the account's name in the URL of a door stands a secret
_STEP = re.compile(r"(/webhooks/[^/?]+/[^/?]+/)[^?]+")


def plain(value: Any) -> Any:
    """As JSON: amounts as exact text, times as ISO 8601 in UTC."""
    if isinstance(value, CallRecord):
        return {name: plain(getattr(value, name)) for name in ("external_id", *FIELDS, "metadata")}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(inner) for name, inner in asdict(value).items() if name != "raw"}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.value if isinstance(value, Enum) else value


def money(amount: Decimal) -> str:
    """Exact, with two decimals or as many as it takes: 12.10, 0.0315."""
    whole, _, rest = format(amount, "f").partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


def masked(url: str, account: Account) -> str:
    """The URL without the account's secrets, without its query, and without what may be somebody else's secret."""
    for secret in filter(None, account.webhook_secrets):
        for written in (secret, quote(secret, safe=""), quote(secret)):
            url = url.replace(written, log.MASK)
    path, question, _ = url.partition("?")
    return log.mask(_STEP.sub(rf"\1{log.MASK}", path)) + (f"?{log.MASK}" if question else "")
