"""Whether an account works: asked of its provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from calltrack import registry
from calltrack.accounts.manage import context
from calltrack.client.budget import Lane
from calltrack.client.session import Client
from calltrack.client.windows import Window
from calltrack.db.accounts import Account

#: short, so that the provider has little to look through
RANGE = timedelta(hours=1)


def check(account: Account, client: Client) -> None:
    """Ask for one call of the last hour. Raises one of `calltrack.errors` where the answer is not a list of calls."""
    calls = registry.get(account.provider).calls({**account.settings, "page_size": "1"})
    now = datetime.now(UTC)
    params = calls.filter.params(Window(now - RANGE, now), context(account).zone)
    calls.read(client.get(calls.path, params | calls.pages.params(calls.pages.first()), Lane.LIVE))
