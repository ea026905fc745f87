"""What people write about a change, read before anything is asked of a provider."""

from __future__ import annotations

from decimal import Decimal

from calltrack import mapping as read
from calltrack.errors import FixConfiguration


def amount(name: str, text: str) -> Decimal:
    """An exact amount of money. Raises `FixConfiguration`."""
    found = read.money(text)
    if found is None:
        raise FixConfiguration(f"{name}: {text!r} is no amount: write a number, as 12.50.")
    return found.normalize() if found else Decimal(0)


def flag(name: str, text: str) -> bool:
    """True or false. Raises `FixConfiguration`."""
    found = read.flag(text)
    if found is None:
        raise FixConfiguration(f"{name}: write yes or no, not {text!r}.")
    return found
