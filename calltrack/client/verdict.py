"""Providers that answer errors with HTTP 200 and say so in the body.

The body may repeat what was asked, token included: it is looked at, and never passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from calltrack.client.answer import Answer, dig
from calltrack.client.statuses import error_of
from calltrack.errors import (
    CalltrackError,
    CredentialsRefused,
    ProviderFailed,
    RequestRefused,
    TooManyRequests,
    UnreadableAnswer,
)

#: what a text says, where the code says nothing we know; first hit wins
_WORDS: tuple[tuple[str, type[CalltrackError]], ...] = (
    ("auth", CredentialsRefused),
    ("token", CredentialsRefused),
    ("permission", CredentialsRefused),
    ("too many", TooManyRequests),
    ("rate limit", TooManyRequests),
    ("internal", ProviderFailed),
    ("try again", ProviderFailed),
    ("unavailable", ProviderFailed),
)
_HTTP: Mapping[str, type[CalltrackError]] = {
    "401": CredentialsRefused,
    "403": CredentialsRefused,
    "429": TooManyRequests,
    "500": ProviderFailed,
    "503": ProviderFailed,
}


@dataclass(frozen=True)
class BodyVerdict:
    """Reads the verdict in the body of an answer.

    {"success": false, "code": 7231, "text": "Offset is too large"}

    BodyVerdict(codes={"7231": SliceTooLarge})
    """

    success: str = "success"
    code: str = "code"
    text: str = "text"
    #: the provider's codes → what happens next, besides those that are HTTP's own
    codes: Mapping[str, type[CalltrackError]] = field(default_factory=dict)
    #: dotted path to a flag in the body → what happens next where it is true
    flags: Mapping[str, type[CalltrackError]] = field(default_factory=dict)

    def __call__(self, answer: Answer) -> None:
        """Raise what the body says went wrong."""
        with suppress(UnreadableAnswer):  # what is no JSON is found out where it is read
            self._judge(answer.json)

    def _judge(self, body: Any) -> None:
        for path, error in self.flags.items():
            if dig(body, path) is True:
                raise error
        if not isinstance(body, dict) or body.get(self.success) not in (False, "false", 0, "0"):
            return
        code, said = str(body.get(self.code)), str(body.get(self.text)).lower()
        known = self.codes.get(code) or _HTTP.get(code)
        fault = known or next((error for words, error in _WORDS if words in said), RequestRefused)
        number = f" Its code is {code}." if code.isdecimal() else ""
        raise fault(f"{(fault.__doc__ or '').strip()}{number}")


@dataclass(frozen=True)
class BodyStatus:
    """For answers whose body repeats their HTTP status, and may know better: `{"status": 422, "errors": [...]}`."""

    status: str = "status"
    errors: str = "errors"

    def __call__(self, answer: Answer) -> None:
        """Raise what the body says went wrong."""
        with suppress(UnreadableAnswer):  # what is no JSON is found out where it is read
            body = answer.json if isinstance(answer.json, dict) else {}
            said = body.get(self.status)
            if type(said) is int and (error := error_of(Answer(said, answer.headers, b""))):
                raise error
            if body.get(self.errors):
                raise RequestRefused
