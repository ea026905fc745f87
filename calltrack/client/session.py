"""Asks a provider's API: within the budget, through the breaker, with every fault turned into one of our errors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter

from calltrack import log
from calltrack.client import statuses
from calltrack.client.answer import Answer
from calltrack.client.ask import Request
from calltrack.client.auth import Auth, Credentials
from calltrack.client.breaker import Breaker
from calltrack.client.budget import Budget, Lane
from calltrack.errors import (
    BudgetSpent,
    CalltrackError,
    FixConfiguration,
    OutcomeUnknown,
    ProviderFailed,
    ProviderUnreachable,
    TooManyRequests,
    TryLater,
    UnreadableAnswer,
)

logger = log.get(__name__)

#: seconds that a request waits for its turn, all in all; whoever must wait longer is parked
PATIENCE = 2.0
#: seconds for a whole answer; a read in progress is not cut short, so one read timeout may come on top
LONGEST_ANSWER = 120.0
LARGEST_ANSWER = 64 * 1024 * 1024
PIECE = 64 * 1024
CONNECTIONS = 10

#: "/calls.json": one slash first, and nothing that could lead out of the path
PATH = re.compile(r"/(?!/)[\w.,:~+@%/-]*", re.ASCII)


class Client:
    """One account's way to its provider. Keep one per account and process: its connections are used again.

    Threads may share it, as they share nothing in it but the pool of connections. A forked child makes its own.
    """

    def __init__(
        self,
        account: str,
        api_url: str,
        auth: Auth,
        credentials: Credentials,
        budget: Budget,
        breaker: Breaker,
        timeout: tuple[float, float] = (5.0, 30.0),
        check: Callable[[Answer], None] | None = None,
    ) -> None:
        """`timeout` is seconds to connect, and seconds to wait for the next bytes. Raises `FixConfiguration`.

        `check` raises what the body of an answer says went wrong although its status says 200.
        """
        self._account = account
        self._base = _base(api_url)
        self._auth = auth
        self._credentials = credentials
        self._budget = budget
        self._breaker = breaker
        self._timeout = timeout
        self._check = check
        self._session = _Session(self._base)

    def get(self, path: str, params: Mapping[str, Any], lane: Lane) -> Answer:
        """As `send`, for what is no more than a path and a query."""
        return self.send(Request(path=path, params=params), lane)

    def send(self, request: Request, lane: Lane) -> Answer:
        """The provider's answer, with a status of 2xx. Everything else is raised, as one of `calltrack.errors`.

        `OutcomeUnknown`: something that must not be done twice may have been done, or not.
        """
        wire = self._written(request)
        try:
            return self._breaker.call(lambda: self._ask(wire, lane))
        except (ProviderUnreachable, ProviderFailed, UnreadableAnswer):
            if request.repeatable:
                raise
        raise OutcomeUnknown

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _written(self, request: Request) -> _Wire:
        """The request as it goes out, with credentials."""
        query, headers = dict(request.params), {"User-Agent": USER_AGENT, "Accept": "application/json"}
        (request.auth or self._auth).apply(self._credentials, query, headers)
        body: bytes | Mapping[str, str] | None = request.form
        if request.json is not None:
            headers["Content-Type"] = "application/json"
            body = orjson.dumps(request.json, default=_number)
        return _Wire(request.method, self._url(request), query, headers, body)

    def _url(self, request: Request) -> str:
        path = request.path
        if not PATH.fullmatch(path) or ".." in path.split("/"):
            raise ValueError(f"{path!r} is no path of an API: it begins with one slash and has no query.")
        return (_base(request.base) if request.base else self._base) + path

    def _ask(self, wire: _Wire, lane: Lane) -> Answer:
        self._wait_for_turn(lane)
        began = time.monotonic()
        answer = self._exchange(wire)
        seconds = round(time.monotonic() - began, 3)
        logger.debug("answered", account=self._account, status=answer.status, seconds=seconds)
        error = statuses.error_of(answer) or self._said(answer)
        if error is None:
            return answer
        self._heed(error)
        raise error

    def _said(self, answer: Answer) -> CalltrackError | None:
        """The error that the body tells of, where the status says 200."""
        try:
            if self._check is not None:
                self._check(answer)
        except CalltrackError as error:
            return error
        return None

    def _wait_for_turn(self, lane: Lane) -> None:
        waited = 0.0
        while (wait := self._budget.take(lane)) > 0:
            waited += wait
            if waited > PATIENCE:
                raise BudgetSpent(wait=wait)
            time.sleep(wait)

    def _exchange(self, wire: _Wire) -> Answer:
        try:
            with self._session.request(
                wire.method,
                wire.url,
                params=wire.query,
                data=wire.body,
                headers=wire.headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(response.status_code, response.headers, _body(response))
        except statuses.RAISED as fault:
            error = statuses.error_from(fault)
        # Raised out here, because an error keeps what was being handled when it was raised: that holds the URL.
        raise error

    def _heed(self, error: CalltrackError) -> None:
        """Where the provider asks us to wait, everybody waits; from a 429 the budget learns, too."""
        if isinstance(error, TooManyRequests):
            error.wait = self._budget.refused(error.wait)
        elif isinstance(error, TryLater) and error.wait is not None:
            self._budget.block(error.wait)
        if isinstance(error, TryLater) and error.wait is not None:
            logger.warning("told_to_wait", account=self._account, seconds=error.wait, reason=error.reason)


@dataclass(frozen=True, repr=False)
class _Wire:
    """A request with credentials. It has no `repr`, for it must not be shown."""

    method: str
    url: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes | Mapping[str, str] | None


USER_AGENT = f"calltrack/{version('calltrack')}"


class _Session(requests.Session):
    """Keeps connections, and nothing else: no cookies, no logins from ~/.netrc, no redirects."""

    def __init__(self, url: str) -> None:
        super().__init__()
        # Read once: by itself, requests looks into the environment for every request.
        self.proxies.update(requests.utils.get_environ_proxies(url))
        self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self.trust_env = False
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = lambda request: request  # none at all would send us to ~/.netrc

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """Nowhere: a redirect would carry the account's credentials to another place."""
        return


def _number(value: Any) -> orjson.Fragment:
    """Money as a JSON number, digit by digit."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(type(value).__name__)


def _base(api_url: str) -> str:
    """The API URL without a trailing slash. It must be nothing but scheme, host, port and path."""
    try:
        parts = urlsplit(api_url.strip())
        plain = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        plain = False
    if not plain or "@" in parts.netloc or parts.query or parts.fragment:
        raise FixConfiguration(
            "The account's API URL must look like https://api.example.com/v1, and nothing behind it."
        )
    return api_url.strip().rstrip("/")


def _body(response: requests.Response) -> bytes:
    """The whole body, unpacked. Read piece by piece as it comes, so that neither its size nor its pace can hold us."""
    body, ends = bytearray(), time.monotonic() + LONGEST_ANSWER
    while piece := response.raw.read1(PIECE, decode_content=True):
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise UnreadableAnswer(f"The provider's answer is larger than {LARGEST_ANSWER // 2**20} MiB.")
        if time.monotonic() > ends:
            raise ProviderUnreachable(f"The provider's answer did not end within {LONGEST_ANSWER:g} s.")
    return bytes(body)
