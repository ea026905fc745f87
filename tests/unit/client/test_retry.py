import pytest

from calltrack.client.retry import Decision, backoff, decide
from calltrack.errors import (
    BreakerOpen,
    BudgetSpent,
    CredentialsRefused,
    ProviderFailed,
    RequestRefused,
    SliceTooLarge,
    TooManyRequests,
)


def highest():
    return 1.0


def lowest():
    return 0.0


@pytest.mark.parametrize(
    ("attempt", "wait"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (9, 256.0), (10, 300.0), (10_000, 300.0)]
)
def test_the_backoff_doubles_up_to_its_cap(attempt, wait):
    assert backoff(attempt, chance=highest) == wait


def test_the_backoff_uses_the_whole_range():
    assert backoff(5, chance=lowest) == 0.0
    assert 0.0 <= backoff(5) <= 16.0


def test_base_and_cap_are_the_accounts_own():
    assert backoff(2, base=0.5, cap=10.0, chance=highest) == 1.0
    assert backoff(20, base=0.5, cap=10.0, chance=highest) == 10.0


@pytest.mark.parametrize(
    ("error", "attempt", "decision"),
    [
        (ProviderFailed(), 1, Decision("retry", 1.0, "provider_failed", counts=True)),
        (ProviderFailed(), 4, Decision("retry", 8.0, "provider_failed", counts=True)),
        (ProviderFailed(), 5, Decision("fail", 0.0, "provider_failed", counts=True)),
        (ProviderFailed(wait=90), 5, Decision("fail", 0.0, "provider_failed", counts=True)),
        (BudgetSpent(), 500, Decision("retry", 300.0, "budget_spent", counts=False)),
        (TooManyRequests(wait=0), 500, Decision("retry", 0.1, "too_many_requests", counts=False)),
        (BreakerOpen(wait=40), 0, Decision("retry", 44.0, "breaker_open", counts=False)),
        (TooManyRequests(wait=3600), 1, Decision("retry", 3605.0, "too_many_requests", counts=False)),
        (RequestRefused(), 1, Decision("fail", 0.0, "request_refused", counts=True)),
        (CredentialsRefused(), 1, Decision("fail", 0.0, "credentials_refused", counts=True)),
        (SliceTooLarge(), 1, Decision("fail", 0.0, "slice_too_large", counts=True)),
    ],
)
def test_each_error_has_one_decision(error, attempt, decision):
    assert decide(error, attempt, max_attempts=5, chance=highest) == decision


def test_never_earlier_than_told():
    assert decide(TooManyRequests(wait=60), 1, 5, chance=lowest).wait == 60
