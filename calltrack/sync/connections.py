"""What a worker process keeps open: the vault, Redis, and one HTTP client per account."""

from __future__ import annotations

from functools import cache, lru_cache
from uuid import UUID

import redis

from calltrack import registry
from calltrack.client import state
from calltrack.client.breaker import Breaker, Sight
from calltrack.client.budget import Budget, Limit
from calltrack.client.session import Client
from calltrack.config import settings
from calltrack.db.accounts import Account
from calltrack.db.credentials import Vault

#: how many processes may be asking at once while Redis is away: each keeps to its share of the budget
PROCESSES = 4


@cache
def vault() -> Vault:
    """Opens the credentials of accounts with the keys of this process's settings."""
    return Vault(settings().secret_keys, settings().home)


@cache
def valkey() -> redis.Redis:
    """Redis or Valkey, for the budget, the breaker and live progress: nothing in it is missed when it is lost."""
    found = settings()
    found.needs("redis_url")
    assert found.redis_url is not None
    return state.connect(found.redis_url)


def breaker_of(account_id: UUID) -> Sight | None:
    """How the account's breaker stands; None while Redis is away, or is not there."""
    if settings().redis_url is None:
        return None
    return Breaker(valkey(), str(account_id)).sight()


def client_for(account: Account) -> Client:
    """The account's HTTP client: kept while its settings stay the same."""
    credentials = tuple(sorted(account.credentials.items()))
    return _client(account.id, account.provider, account.label, account.api_url, credentials, account.rate_limits)


@lru_cache(maxsize=64)
def _client(
    account_id: UUID,
    provider: str,
    label: str,
    api_url: str,
    credentials: tuple[tuple[str, str], ...],
    rate_limits: tuple[str, ...],
) -> Client:
    declared = registry.get(provider)
    limits = [Limit.parse(text) for text in rate_limits or declared.rate_limits]
    return Client(
        label,
        api_url,
        declared.auth,
        dict(credentials),
        Budget(valkey(), str(account_id), limits, PROCESSES),
        Breaker(valkey(), str(account_id), label=label),
        check=declared.check,
    )
