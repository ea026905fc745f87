"""How a request shows who is asking."""

from __future__ import annotations

from base64 import b64encode
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


@dataclass(frozen=True)
class HeaderToken:
    """A credential in a header: `HeaderToken("api_token", "Token {}")` sends `Authorization: Token …`."""

    setting: str
    text: str = "Bearer {}"
    header: str = "Authorization"

    def apply(self, credentials: Credentials, params: dict[str, str], headers: dict[str, str]) -> None:  # noqa: ARG002
        headers[self.header] = self.text.format(credentials[self.setting])


@dataclass(frozen=True)
class BasicKeys:
    """Two credentials as HTTP Basic: `Authorization: Basic base64(user:password)`."""

    user: str
    password: str

    def apply(self, credentials: Credentials, params: dict[str, str], headers: dict[str, str]) -> None:  # noqa: ARG002
        pair = f"{credentials[self.user]}:{credentials[self.password]}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
