"""Which provider offers what: read off the declarations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from calltrack import registry
from calltrack.operations import UPDATES
from calltrack.provider import Calls, Provider

Offers = Callable[[Provider], object]
YES, NO = "yes", "—"


def _calls(provider: Provider) -> Calls:
    """The list of calls in the dialect that an account speaks by default."""
    return next(iter(provider.dialects.values()))


def _updating(field: str) -> Offers:
    return lambda provider: provider.operations.update.get(field)


CHANGES = {
    "tags": "its tags",
    "converted": "whether it converted",
    "revenue": "its revenue",
    "payout": "its payout",
    "add_revenue": "add to its revenue",
    "add_payout": "add to its payout",
}
#: the operations of the adapter interface → whether a provider has it
OPERATIONS: dict[str, Offers] = {
    "Check credentials": lambda _: True,
    "Get one call": lambda provider: _calls(provider).one,
    "List calls of a range": lambda _: True,
    "List calls by time of change": lambda provider: _calls(provider).changes,
    **{f"Change a call: {CHANGES[field]}": _updating(field) for field in UPDATES},
    "Take deliveries of webhooks": lambda _: True,
    "Register webhooks": lambda provider: provider.operations.register,
    "List registered webhooks": lambda provider: provider.operations.webhooks,
    "Remove webhooks": lambda provider: provider.operations.unregister,
    "List numbers": lambda provider: provider.operations.numbers,
    "Provision numbers": lambda provider: provider.operations.provision,
    "Release numbers": lambda provider: provider.operations.release,
    "List campaigns": lambda provider: provider.operations.campaigns,
    "Get one campaign": lambda provider: provider.operations.campaign,
    "Report on calls": lambda provider: provider.operations.report,
}


def rows(providers: Sequence[Provider] | None = None) -> list[list[str]]:
    """The matrix, its head first: by default of all providers."""
    those = [registry.get(name) for name in registry.names()] if providers is None else providers
    head = ["Operation", *(provider.title for provider in those)]
    return [head, *([name, *(YES if has(one) else NO for one in those)] for name, has in OPERATIONS.items())]


def markdown(providers: Sequence[Provider] | None = None) -> str:
    """The same as a table in Markdown."""
    head, *rest = (f"| {' | '.join(row)} |" for row in rows(providers))
    return "\n".join([head, f"|{'---|' * (head.count('|') - 1)}", *rest])
