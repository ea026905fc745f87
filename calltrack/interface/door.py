"""The URL that a provider is given, so that its deliveries reach the account's door."""

from __future__ import annotations

from calltrack import checks
from calltrack.db.accounts import Account
from calltrack.errors import FixConfiguration
from calltrack.provider import Provider
from calltrack.signatures import PLACES, SharedSecret, url_of


def door(account: Account, provider: Provider, base: str, event: str) -> str:
    """Where deliveries of an event go, at the receiver behind `base`. It may hold the account's newest secret.

    Raises `FixConfiguration` where what comes there would be refused.
    """
    _check(base)
    signature, place = provider.webhook.signature, account.settings.get("secret_in") or PLACES[0]
    if isinstance(signature, SharedSecret) and place == PLACES[0]:
        raise FixConfiguration(
            "What is registered by the API shows no header with a secret: let the secret stand in the URL with "
            f"`calltrack accounts update {account.label} --set secret_in=path`."
        )
    plain = f"{base.rstrip('/')}/webhooks/{account.provider}/{account.name}"
    url = url_of(plain, signature, place, next(iter(account.webhook_secrets), ""))
    tokens = "&".join(f"{name}={token}" for name, token in provider.operations.tokens.items())
    return f"{url}{'&' if '?' in url else '?'}{tokens.replace('{event}', event)}" if tokens else url


def _check(base: str) -> None:
    try:
        checks.url(base)
    except ValueError:
        raise FixConfiguration(f"{base!r} is no place of a receiver: write it as https://calls.example.com.") from None
