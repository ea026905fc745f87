"""A provider's form: filled in, with settings that pass their own checks and credentials that reach the requests."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from calltrack import registry
from calltrack.accounts.forms import settings_of
from calltrack.client.auth import Auth
from calltrack.client.budget import Limit
from calltrack.client.session import PATH
from calltrack.provider import Provider
from calltrack.testing.recorded import Recorded
from calltrack.testing.suite.templates import PLACE, asks_of


def test_the_form_is_filled_in(recorded: Recorded) -> None:
    provider = recorded.provider
    assert registry.NAME.fullmatch(provider.name)
    assert provider.title.strip()
    assert re.fullmatch(r"https://.*[^/]", provider.api_url)
    assert provider.rate_limits
    assert all(Limit.parse(limit) for limit in provider.rate_limits)
    assert all(PATH.fullmatch(PLACE.sub("x", calls.path)) for calls in provider.dialects.values())
    assert all(re.fullmatch(r"/.*[^/]", path) for path in provider.webhook.paths)
    assert provider.candidate is None or provider.candidate.version > provider.mapper_version


def test_there_are_fixtures(recorded: Recorded) -> None:
    assert recorded.folder.is_dir(), f"{recorded.folder} is missing: is it in the package's data?"
    assert next(iter(recorded.provider.dialects)) in map(str, recorded.dialects()), "record the default dialect's pages"
    assert recorded.deliveries(), "record a delivery"


def test_settings_pass_their_own_checks(recorded: Recorded) -> None:
    declared = settings_of(recorded.provider)
    values = {setting.name: setting.default for setting in declared if setting.default} | recorded.settings
    assert {setting.name for setting in declared if setting.required} <= values.keys()
    assert values.keys() <= {setting.name for setting in declared}
    for setting in declared:
        if setting.check is not None and setting.name in values:
            setting.check(values[setting.name])


def test_a_check_says_what_to_write(recorded: Recorded) -> None:
    for setting in settings_of(recorded.provider):
        if setting.check is not None:
            with pytest.raises(ValueError, match="write"):
                setting.check("neither this = nor that")


def test_credentials_reach_the_request(recorded: Recorded) -> None:
    provider, credentials = recorded.provider, _Noting(recorded.settings)
    sent = _shown(provider.auth, credentials)
    secret = {setting.name for setting in provider.settings if setting.secret}
    assert credentials.asked & secret, "no credential is sent"
    assert all(recorded.settings[name] in sent for name in credentials.asked & secret & recorded.settings.keys())
    others = {name for auth in _other_auths(provider) for name in _asked(auth)}
    assert secret <= credentials.asked | others, "a secret setting is never shown to the provider"
    assert credentials.asked | others <= {setting.name for setting in provider.settings}, "an unknown credential"


class _Noting(dict[str, str]):
    """Credentials that remember which of them were looked at; one that is not there is made up."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().get(name, f"made-up-{name}") or ""

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def _shown(auth: Auth, credentials: Mapping[str, str]) -> str:
    """All that goes out: query, headers, and what a Basic login holds."""
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    auth.apply(credentials, params, headers)
    basic = [header.removeprefix("Basic ") for header in headers.values() if header.startswith("Basic ")]
    return " ".join([*params.values(), *headers.values(), *(b64decode(text).decode() for text in basic)])


def _asked(auth: Auth) -> set[str]:
    credentials = _Noting({})
    _shown(auth, credentials)
    return credentials.asked


def _other_auths(provider: Provider) -> Iterator[Auth]:
    asks = [ask for _, ask, _ in asks_of(provider.operations)]
    asks += [calls.one for calls in provider.dialects.values() if calls.one is not None]
    return (ask.auth for ask in asks if ask.auth is not None)
