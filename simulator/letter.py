"""One delivery of a webhook, and how it comes to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from simulator.calls import Call

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Letter:
    """One delivery, whole: a POST, or a GET without a body."""

    call_id: str
    event: str
    body: bytes
    content_type: str = JSON
    #: what stands behind the URL's question mark
    query: str = ""
    #: what is added to the URL's path
    path: str = ""
    method: str = "POST"
    #: what the signature is over, where that is not the body
    signed: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: "true", "duplicate", or how it is forged: one of `FORGERIES`
    kind: str = "true"


#: (call, event, zone) → an unsigned letter
Shape = Callable[[Call, str, ZoneInfo], Letter]
