"""What happens between a POST and its answer: check length, door and source, verify, read, land, ring."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from flask import Request, Response, request
from psycopg import Error, IntegrityError
from werkzeug.exceptions import ClientDisconnected

from calltrack import log, registry
from calltrack.db.accounts import Account
from calltrack.errors import BadSignature, LengthRequired, RefuseDelivery, SourceRefused, TooLarge, UnknownDoor
from calltrack.provider import Webhook
from calltrack.seldom import Seldom
from calltrack.signatures import PLACES, Message, without_secret
from calltrack.sync import inbox
from calltrack.sync.inbox import Delivery, Landed, event_type, land
from calltrack.sync.spool import Spool
from webhooks.accounts import FRESH, FRESH_TO_REFUSE, Accounts
from webhooks.answers import CutOff, NotLanded, answer, refused
from webhooks.bell import Bell
from webhooks.connections import Connections
from webhooks.refusals import Refusals
from webhooks.source import Sources

if TYPE_CHECKING:
    from werkzeug.local import LocalProxy

logger = log.get(__name__)

#: bytes
MAX_BODY = 1024 * 1024
#: bytes of a too large body that are read away, so that its sender can read the answer
DRAIN = 8 * 1024 * 1024
BODILESS = ("GET", "HEAD")
KEPT_HEADERS = ("User-Agent", "X-Request-Id")
UNKNOWN = "unknown"
#: the query parameter that may say what a delivery with a body is about
EVENT = "event"


class Door(NamedTuple):
    """Where a delivery came in: what the URL's path says."""

    provider: str
    account: str | None
    event: str
    secret: str


class Spooled(NamedTuple):
    """Where a delivery lies while Postgres is away."""

    id: str
    #: nobody can know yet whether it was there before
    fresh: bool = True


class Receiver:
    """Lands deliveries. The row is committed before the answer; everything later is somebody else's."""

    def __init__(
        self,
        accounts: Accounts,
        connections: Connections,
        bell: Bell,
        refusals: Refusals,
        max_body: int = MAX_BODY,
        spool: Spool | None = None,
        sources: Sources | None = None,
    ) -> None:
        self._accounts = accounts
        self._connections = connections
        self._bell = bell
        self._refusals = refusals
        self._max_body = max_body
        self._spool = spool
        self._sources = sources or Sources()
        self._seldom = Seldom()

    def receive(self, provider: str, account: str | None = None, event: str = "", secret: str = "") -> Response:
        """Answer a delivery at the door of this provider and account.

        `event` is what the door's path says it is about, `secret` the last step of a path that is nobody's guess.
        """
        # The proxy would look it up again for each of its attributes.
        post = cast("LocalProxy[Request]", request)._get_current_object()  # noqa: SLF001 - Werkzeug documents it
        try:
            landed = self._landed(post, Door(provider, account, event, secret))
        except RefuseDelivery as refusal:
            self._refusals.count(self._door(provider, account), refusal, self._sources.of(post))
            return refused(refusal)
        self._bell.ring(provider)
        return answer(202, {"id": landed.id, "status": "accepted" if landed.fresh else "duplicate"})

    def _landed(self, post: Request, door: Door) -> Landed | Spooled:
        body = self._body(post)
        webhook = _webhook(door.provider)
        account, verified = self._verified(post, door, webhook, body)
        headers = post.headers
        content_type = headers.get("Content-Type", "")
        query = without_secret(post.query_string.decode("latin-1"), webhook.signature)
        payload = inbox.read(content_type, query, body)
        delivery = Delivery(
            account_id=account.id,
            provider=door.provider,
            event_type=event_type(payload, webhook, door.event or (post.args.get(EVENT, "") if body and query else "")),
            content_type=content_type,
            query=query,
            body=body,
            headers={name: value for name in KEPT_HEADERS if (value := headers.get(name)) is not None},
            signature=headers.get(webhook.signature.header) if verified else None,
            verified=verified,
        )
        return self._land(delivery)

    def _body(self, post: Request) -> bytes:
        """The raw body. Nothing may touch `post.form` before: it would eat it."""
        length = post.content_length
        if length is None:
            return _no_body(post)
        if length > self._max_body:
            _drain(post, length)
            raise TooLarge
        body = _received(post)
        if len(body) != length:
            raise CutOff
        return body

    def _verified(self, post: Request, door: Door, webhook: Webhook, body: bytes) -> tuple[Account, bool]:
        """The account, and whether what the delivery says is proved."""
        account = self._accounts.find(door.provider, door.account, FRESH)
        try:
            return account, self._admitted(post, door, account, webhook, body)
        except (SourceRefused, BadSignature):
            renewed = self._accounts.find(door.provider, door.account, FRESH_TO_REFUSE)
            if _admits(renewed) == _admits(account):
                raise
        return renewed, self._admitted(post, door, renewed, webhook, body)

    def _admitted(self, post: Request, door: Door, account: Account, webhook: Webhook, body: bytes) -> bool:
        self._sources.check(post, account.allowed_ips)
        place = account.settings.get("secret_in") or PLACES[0]
        if door.secret and place != "path":
            raise UnknownDoor
        message = Message(body, post.headers, post.query_string, door.secret, place)
        return webhook.signature.verify(message, account.webhook_secrets)

    def _land(self, delivery: Delivery) -> Landed | Spooled:
        try:
            return self._connections.run(partial(land, delivery=delivery))
        except IntegrityError:  # the account was removed a moment ago: the next try finds no door
            raise NotLanded from None
        except (Error, NotLanded) as error:
            if self._seldom.due(type(error).__name__):
                logger.warning("deliveries cannot be landed", error=type(error).__name__, spool=self._spool is not None)
        return self._spooled(delivery)

    def _spooled(self, delivery: Delivery) -> Spooled:
        """Most providers never send a delivery again: it is kept on disk until Postgres is back."""
        if self._spool is None:
            raise NotLanded
        try:
            return Spooled(self._spool.keep(delivery))
        except OSError as error:
            if self._seldom.due(type(error).__name__):
                logger.error("deliveries cannot be spooled either", error=type(error).__name__)  # noqa: TRY400
            raise NotLanded from None

    def _door(self, provider: str, account: str | None) -> str:
        """A name to count refusals under: whatever is asked for, there are only few."""
        if provider not in registry.names():
            return UNKNOWN
        try:
            return self._accounts.find(provider, account, FRESH).label
        except RefuseDelivery:
            return provider


def _admits(account: Account) -> tuple[object, ...]:
    """What decides whether a delivery is let in."""
    return account.webhook_secrets, account.allowed_ips, account.settings.get("secret_in")


def _webhook(provider: str) -> Webhook:
    try:
        return registry.get(provider).webhook
    except UnknownDoor:
        raise UnknownDoor from None  # without the list of the doors there are


def _no_body(post: Request) -> bytes:
    """The body of a request without its length: none, where all is in the query string. Otherwise it may be chunked,
    and Flask would cut it off, unnoticed, where it gets too long.
    """
    if "Transfer-Encoding" in post.headers or not (post.query_string or post.method in BODILESS):
        raise LengthRequired
    return b""


def _received(post: Request) -> bytes:
    try:
        return post.get_data()
    except (OSError, ClientDisconnected):  # which of them depends on the server
        raise CutOff from None


def _drain(post: Request, length: int) -> None:
    with suppress(OSError, ClientDisconnected):
        while length <= DRAIN and post.stream.read(65536):
            pass
