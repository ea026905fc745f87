"""How a request shows who is asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

Credentials = Mapping[str, str]


class Auth(Protocol):
    """Adds what the provider wants to see to a request's query parameters and headers, in place."""

    def apply(self, credentials: Credentials, params: dict[str, str], headers: dict[str, str]) -> None: ...


@dataclass(frozen=True)
class QueryKeys:
    """Credentials as query parameters: `{"api_key": "api_key"}` is parameter name → setting name.

    An optional credential that the account does not have is left out.
    """

    params: Mapping[str, str]

    def apply(self, credentials: Credentials, params: dict[str, str], headers: dict[str, str]) -> None:  # noqa: ARG002
        params.update({name: credentials[key] for name, key in self.params.items() if credentials.get(key)})
