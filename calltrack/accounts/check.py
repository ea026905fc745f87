"""Whether an account works: asked of its provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from calltrack import registry
from calltrack.accounts.manage import context
from calltrack.client.budget import Lane
from calltrack.client.session import Client
from calltrack.client.windows import Window
from calltrack.db.accounts import Account
from calltrack.errors import CalltrackError, CredentialsRefused, ProviderUnreachable, UnreadableAnswer

#: short, so that the provider has little to look through
RANGE = timedelta(hours=1)

WHAT_TO_DO: dict[type[CalltrackError], str] = {
    CredentialsRefused: "That is: `calltrack accounts update {0.label} --set KEY=VALUE`.",
    ProviderUnreachable: "See whether {0.api_url} is right, and whether this machine can reach it.",
    UnreadableAnswer: "See whether {0.api_url} is the base of the provider's API.",
}


def check(account: Account, client: Client) -> str | None:
    """Ask for one call of the last hour. None where that works; else what is wrong, and what to do about it."""
    try:
        _ask(account, client)
    except CalltrackError as error:
        return f"{error.message} {WHAT_TO_DO.get(type(error), '').format(account)}".strip()
    return None


def _ask(account: Account, client: Client) -> None:
    calls = registry.get(account.provider).calls({**account.settings, "page_size": "1"})
    now = datetime.now(UTC)
    page = calls.page(calls.pages.first(), Window(now - RANGE, now), context(account).zone)
    calls.read(client.send(page, Lane.LIVE))
