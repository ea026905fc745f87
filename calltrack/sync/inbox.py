"""The inbox: a delivery is landed in `webhook_logs` byte for byte, and read back from there later.

Landing is the one thing that stands between a sender and its answer, so it is one prepared statement on a plain
psycopg connection.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from psycopg import Connection

from calltrack.client.answer import dig
from calltrack.errors import UnsupportedBody, UnusableBody
from calltrack.mapping import Raw
from calltrack.mapping.text import text
from calltrack.provider import Webhook

#: an event type is a word, not a text
EVENT_LIMIT = 100
#: levels of a JSON body: deeper ones can be read, but not written again (orjson ends at 254)
NESTING = 100

_LAND = """
INSERT INTO webhook_logs
    (account_id, provider, event_type, headers, content_type, query, body, signature, verified, dedup_key,
        received_at)
VALUES (%b, %t, %t, %t, %t, %t, %b, %t, %b, %b, coalesce(%b, now()))
ON CONFLICT (dedup_key) DO UPDATE SET repeats = webhook_logs.repeats + 1
RETURNING id, xmax = 0
"""  # xmax is 0 in a row that was just inserted: nothing has locked or updated it yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a sender delivered, as it came."""

    account_id: UUID
    provider: str
    #: "" where nothing says what it is about
    event_type: str
    content_type: str
    #: the raw query string, as WSGI gives it: latin-1 stands for bytes
    query: str
    body: bytes
    #: the few headers worth keeping
    headers: Mapping[str, str] = field(default_factory=dict)
    #: what the sender proved itself with; None where that would be worth stealing
    signature: str | None = None
    #: whether the signature covers what the delivery says
    verified: bool = False
    #: None: now, as Postgres has it
    received_at: datetime | None = None

    @property
    def dedup_key(self) -> bytes:
        """The same for the same content at the same door: 16 bytes.

        Beside a body the query says nothing (`read`), and no signature covers it: it would make replays look new.
        """
        digest = blake2b(self.account_id.bytes, digest_size=16)
        digest.update(f"{self.event_type}\0".encode())
        digest.update(b"body\0" + self.body if self.body else b"query\0" + self.query.encode())
        return digest.digest()


class Landed(NamedTuple):
    """Where a delivery lies."""

    id: int
    #: False: the same delivery had been landed before
    fresh: bool


def land(connection: Connection[Any], delivery: Delivery) -> Landed:
    """Store the delivery, or count it as a repetition of the one that is there. The caller commits, or autocommits."""
    row = connection.execute(
        _LAND,
        (
            delivery.account_id,
            delivery.provider,
            delivery.event_type or None,
            orjson.dumps({name: storable(value) for name, value in delivery.headers.items()}).decode(),
            storable(delivery.content_type),
            storable(delivery.query),
            delivery.body,
            storable(delivery.signature) if delivery.signature is not None else None,
            delivery.verified,
            delivery.dedup_key,
            delivery.received_at,
        ),
    ).fetchone()
    assert row is not None
    return Landed(*row)


def storable(value: str) -> str:
    """The text without NUL, which Postgres has no room for."""
    return value.replace("\0", "")


def read(content_type: str, query: str, body: bytes) -> Raw:
    """What a delivery says: its JSON object or its form fields; with an empty body, the tokens of its query string.

    Of a field that is repeated the last one counts. Raises `UnsupportedBody` or `UnusableBody`.
    """
    if not body:
        return _fields(query.encode("latin-1"), "The body is empty, and the query string holds no values.")
    kind = content_type.partition(";")[0].strip().lower()
    reader = _json if kind.endswith("+json") else READERS.get(kind)
    if reader is None:
        raise UnsupportedBody
    return reader(body)


def _json(body: bytes) -> Raw:
    try:
        value = orjson.loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:
        raise UnusableBody("The body is not the JSON that its content type says.") from None
    if not isinstance(value, dict):
        raise UnusableBody("The body must be one JSON object.")
    if body.count(b"{") + body.count(b"[") > NESTING and _deeper(value, NESTING):
        raise UnusableBody(f"The JSON is nested more than {NESTING} levels deep.")
    return value


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects stand in each other over more levels than these."""
    within = [value]
    for _ in range(levels):
        within = [inner for outer in within for inner in _contained(outer) if isinstance(inner, dict | list)]
    return bool(within)


def _contained(outer: Any) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _form(body: bytes) -> Raw:
    return _fields(body, "The body holds no form field with a value.")


def _fields(encoded: bytes, nothing: str) -> Raw:
    try:
        fields = dict(parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise UnusableBody("The form fields are not UTF-8 text.") from None
    if not any(fields.values()):  # JSON that calls itself a form, say: one name, no value
        raise UnusableBody(nothing)
    return fields


READERS: Mapping[str, Callable[[bytes], Raw]] = {
    "application/json": _json,
    "text/json": _json,
    "application/x-www-form-urlencoded": _form,
}


def event_type(payload: Raw, webhook: Webhook, path_event: str = "") -> str:
    """What the delivery is about: what its door says, else the first of the provider's event fields that says so."""
    stated = (text(dig(payload, name), EVENT_LIMIT) for name in webhook.event_fields)
    return path_event or next(filter(None, stated), "")
