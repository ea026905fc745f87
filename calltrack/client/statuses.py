"""What an HTTP answer, or the lack of one, means for us: the one table of faults."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests.exceptions as failed
from urllib3 import exceptions as transport

from calltrack.client.answer import Answer
from calltrack.errors import (
    CalltrackError,
    CredentialsRefused,
    FixConfiguration,
    NotThere,
    ProviderFailed,
    ProviderUnreachable,
    RequestRefused,
    TooManyRequests,
    TryLater,
    UnreadableAnswer,
)

REFUSED = "The provider refused the request as wrong"
NOT_THERE = "The provider has no such thing, or not at this place"
CREDENTIALS = "The provider refused the account's credentials: set them anew, and try `calltrack accounts check`"
MOVED = "The provider's API has moved: correct the account's API URL"
UNPAID = "The provider wants to be paid first: settle it with the provider"
BEHIND_PROXY = "The proxy wants credentials: correct the proxy settings of this machine"
FAILED = "The provider answered that it has a fault of its own"
ELSEWHERE = "The provider sends us elsewhere for now, and we do not follow"
TOO_OFTEN = "The provider says that we ask too often"

Meaning = tuple[type[CalltrackError], str]

#: HTTP status → the error and its text; what is not here: by its hundreds
STATUSES: dict[int, Meaning] = {
    301: (FixConfiguration, MOVED),
    302: (ProviderFailed, ELSEWHERE),  # maintenance pages, mostly
    303: (ProviderFailed, ELSEWHERE),
    307: (ProviderFailed, ELSEWHERE),
    308: (FixConfiguration, MOVED),
    400: (RequestRefused, REFUSED),
    401: (CredentialsRefused, CREDENTIALS),
    402: (FixConfiguration, UNPAID),
    403: (CredentialsRefused, CREDENTIALS),
    404: (NotThere, NOT_THERE),
    405: (RequestRefused, REFUSED),
    406: (RequestRefused, REFUSED),
    407: (FixConfiguration, BEHIND_PROXY),
    408: (ProviderFailed, FAILED),
    410: (NotThere, NOT_THERE),
    418: (RequestRefused, REFUSED),
    422: (RequestRefused, REFUSED),
    425: (ProviderFailed, FAILED),
    429: (TooManyRequests, TOO_OFTEN),
    500: (ProviderFailed, FAILED),
    502: (ProviderFailed, FAILED),
    503: (ProviderFailed, FAILED),
    504: (ProviderFailed, FAILED),
}
HUNDREDS: dict[int, Meaning | None] = {2: None, 3: (RequestRefused, REFUSED), 4: (RequestRefused, REFUSED)}
OTHERS: Meaning = (ProviderFailed, FAILED)

UNWRITABLE = "The request cannot be written: check the account's API URL, and its credentials for stray characters."
INSECURE = "No secure connection to the provider: check the account's API URL and the certificates of this machine."
NO_PROXY = "The proxy could not be reached: check the proxy settings of this machine."
SILENT = "The provider did not answer in time."
CUT_OFF = "The provider's answer was cut off or garbled."
UNREACHABLE = "The provider could not be reached."

#: what the HTTP library raised → the error and its text; the first hit counts, so the special stands before the general
FAULTS: tuple[tuple[tuple[type[Exception], ...], type[CalltrackError], str], ...] = (
    ((UnicodeError, failed.InvalidURL, failed.InvalidHeader, failed.MissingSchema), FixConfiguration, UNWRITABLE),
    ((failed.InvalidSchema, transport.LocationValueError), FixConfiguration, UNWRITABLE),
    ((failed.ProxyError, transport.ProxyError), ProviderUnreachable, NO_PROXY),
    ((failed.SSLError, transport.SSLError), ProviderUnreachable, INSECURE),
    ((failed.Timeout, transport.TimeoutError), ProviderUnreachable, SILENT),
    ((failed.ChunkedEncodingError, failed.ContentDecodingError), UnreadableAnswer, CUT_OFF),
    ((transport.ProtocolError, transport.IncompleteRead, transport.DecodeError), UnreadableAnswer, CUT_OFF),
    ((failed.RequestException, transport.HTTPError), ProviderUnreachable, UNREACHABLE),
)

#: everything that the HTTP library raises, and what a header that is no Latin-1 makes of it
RAISED = (failed.RequestException, transport.HTTPError, UnicodeError)

LONGEST_WAIT = 86_400.0


def error_of(answer: Answer) -> CalltrackError | None:
    """The error that this answer means; None: it is fine."""
    meaning = STATUSES.get(answer.status) or HUNDREDS.get(answer.status // 100, OTHERS)
    if meaning is None:
        return None
    error, text = meaning
    message = f"{text} (HTTP {answer.status})."
    if issubclass(error, TryLater):
        return error(message, wait=retry_after(answer))
    return error(message)


def error_from(fault: Exception) -> CalltrackError:
    """The error that this exception of the HTTP library means. It takes over none of its text: that holds the URL."""
    error, text = next((error, text) for kinds, error, text in FAULTS if isinstance(fault, kinds))
    return error(text)


def retry_after(answer: Answer) -> float | None:
    """Seconds that the provider tells us to wait, 0 to 24 h; None where it says nothing that can be read."""
    text = answer.headers.get("Retry-After", "").strip()
    seconds = _seconds(text)
    if seconds is None:
        seconds = _seconds_until(text, answer.headers.get("Date", ""))
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_until(moment: str, now: str) -> float | None:
    """By the provider's own clock where it tells its time, as ours may be wrong."""
    until = _date(moment)
    return None if until is None else (until - (_date(now) or datetime.now(UTC))).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
