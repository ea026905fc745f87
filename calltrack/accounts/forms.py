"""What people write about an account, checked all at once, with messages that say what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields

from calltrack import checks
from calltrack.client.budget import Limit
from calltrack.errors import FixConfiguration
from calltrack.mapping.context import REGION
from calltrack.mapping.rules import rules
from calltrack.provider import Provider, Setting
from calltrack.signatures import PLACES, SharedSecret

#: an account's name stands in URLs and on command lines
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def seconds(text: str) -> float:
    """A number of seconds. Raises `ValueError` with a sentence on what to write instead."""
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", text, re.ASCII):
        raise ValueError(f"{text!r} is no time: write a number of seconds, as 1 or 0.5")
    return float(text)


#: settings that every account can have, whoever the provider is
COMMON = (
    Setting("region", "how phone numbers without + are read, or none", default=REGION, check=checks.region),
    Setting("ask", "whether a delivery makes us ask for its call", check=checks.one_of("yes", "no")),
    Setting("history", "a day before which there are no calls, as 2024-01-31", check=checks.day),
    Setting("longest_range", "days that may be asked for at once", check=checks.between(1, 10_000)),
    Setting("exclude", "calls to leave out, as campaign_id=9001, direction=outbound", check=rules),
    Setting("max_retries", "how often a failed request is tried again", check=checks.between(0, 100)),
    Setting("retry_delay", "seconds before the first retry; they double with each", check=seconds),
)
#: variables of every provider that are not named after a setting
VARIABLES = {
    "API_URL": "api_url",
    "BASE_URL": "api_url",
    "WEBHOOK_SECRET": "webhook_secret",
    "POLLING_ENABLED": "enabled",
    "RETRY_DELAY_MS": "retry_delay",
}
_CAP = checks.between(1, 1_000_000)


def settings_of(provider: Provider) -> tuple[Setting, ...]:
    """All settings that an account of this provider can have: its own, what follows from it, and everybody's."""
    found: dict[str, Setting] = {}
    for setting in (*provider.settings, *_following(provider), *COMMON):
        found.setdefault(setting.name, setting)
    return tuple(found.values())


def _following(provider: Provider) -> Iterator[Setting]:
    """Settings that follow from what the provider declares."""
    dialects, styles = tuple(provider.dialects), [calls.pages for calls in provider.dialects.values()]
    if len(dialects) > 1:
        yield Setting("dialect", "how calls are listed", default=dialects[0], check=checks.one_of(*dialects))
    if most := max(getattr(pages, "most", 0) for pages in styles):
        yield Setting("page_size", "calls per page, up to what the API gives", check=checks.between(1, most))
    if any(getattr(pages, "cap", None) for pages in styles):
        yield Setting("offset_cap", "the largest range that is paged through whole", check=_CAP)
    if isinstance(provider.webhook.signature, SharedSecret):
        yield Setting(
            "secret_in", "where deliveries show their secret", default=PLACES[0], check=checks.one_of(*PLACES)
        )


def variables(provider: Provider) -> dict[str, str]:
    """Environment variable → what it sets: a setting, "api_url", "webhook_secret" or "enabled"."""
    prefix = provider.name.upper()
    ours = {setting.name.upper(): setting.name for setting in settings_of(provider)}
    return {f"{prefix}_{name}": what for name, what in (ours | VARIABLES).items()}


@dataclass(frozen=True)
class Form:
    """What was written about an account, checked and cleaned."""

    name: str
    api_url: str
    #: settings, secret ones included
    values: Mapping[str, str] = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    rate_limits: tuple[str, ...]
    #: as `networks.network` writes them
    allowed_ips: tuple[str, ...]


def read(
    provider: Provider,
    *,
    name: str,
    api_url: str,
    values: Mapping[str, str],
    webhook_secrets: Sequence[str],
    rate_limits: Sequence[str] = (),
    allowed_ips: Sequence[str] = (),
) -> Form:
    """Check what was written. Raises `FixConfiguration` with every fault at once."""
    written = {
        "name": name,
        "api_url": api_url,
        "values": {key: value.strip() for key, value in values.items()},
        "webhook_secrets": list(webhook_secrets),
        "rate_limits": list(rate_limits),
        "allowed_ips": list(allowed_ips),
    }
    try:
        cleaned = _schema(provider)().load(written)
    except ValidationError as fault:
        raise FixConfiguration(" ".join(_sentences("", fault.messages_dict))) from None
    allowed = tuple(str(checks.network(text)) for text in allowed_ips)
    return Form(name, cleaned["api_url"], cleaned["values"], tuple(webhook_secrets), tuple(rate_limits), allowed)


def _schema(provider: Provider) -> type[Schema]:
    return Schema.from_dict(
        {
            "name": fields.String(validate=_name),
            "api_url": _Url(),
            "values": fields.Nested(_values_schema(provider)),
            "webhook_secrets": fields.List(fields.String(validate=_not_blank)),
            "rate_limits": fields.List(fields.String(validate=_rate_limit)),
            "allowed_ips": fields.List(fields.String(validate=_network)),
        },
        name="AccountSchema",
    )


def _values_schema(provider: Provider) -> type[Schema]:
    known = settings_of(provider)
    schema = Schema.from_dict({setting.name: _field(setting) for setting in known}, name="ValuesSchema")
    names = ", ".join(setting.name for setting in known)
    schema.error_messages = {"unknown": f"{provider.title} has no such setting; there are {names}."}
    return schema


def _field(setting: Setting) -> fields.String:
    return fields.String(
        required=setting.required,
        validate=_checked(setting),
        error_messages={"required": f"missing ({setting.about})."},
    )


def _checked(setting: Setting) -> Callable[[str], None]:
    def validate(value: str) -> None:
        _not_blank(value)
        try:
            if setting.check is not None:
                setting.check(value)
        except ValueError as fault:
            text = str(fault).replace(value, "…") if setting.secret else str(fault)
            raise ValidationError(f"{text.rstrip('.')}.") from None

    return validate


def _not_blank(value: str) -> None:
    if not value.strip():
        raise ValidationError("empty: give it a value.")


def _name(value: str) -> None:
    if not NAME.fullmatch(value):
        raise ValidationError("write small letters, digits, - and _ only: the name stands in the webhook's URL.")


def _rate_limit(value: str) -> None:
    try:
        Limit.parse(value)
    except FixConfiguration as fault:
        raise ValidationError(fault.message) from None


def _network(value: str) -> None:
    try:
        checks.network(value)
    except ValueError as fault:
        raise ValidationError(f"{fault}.") from None


class _Url(fields.String):
    """The base of an API, without a trailing slash, and without keys in it, which would be shown with it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = super()._deserialize(value, attr, data, **kwargs).strip().rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ValidationError("write the base of the provider's API, as https://api.example.com/v1.")
        if parts.query or parts.fragment or "@" in parts.netloc or "?" in url or "#" in url:
            raise ValidationError("write it without ?, # and @: credentials are given as settings.")
        return url


def _sentences(subject: str, messages: Any) -> list[str]:
    """The nested messages as sentences: the innermost name, and what is wrong with it."""
    if isinstance(messages, list):
        return [f"{subject}: {message}" for message in messages]
    return [
        sentence
        for key, inner in messages.items()
        for sentence in _sentences(key if isinstance(key, str) else subject, inner)
    ]
