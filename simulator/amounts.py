"""Money as a provider writes it."""

from __future__ import annotations

from decimal import Decimal

from simulator.chance import pick


def number(money: Decimal | None) -> float | None:
    """As a JSON number."""
    return None if money is None else float(money)


def text(money: Decimal | None) -> str | None:
    """As exact text."""
    return None if money is None else str(money)


def mixed(money: float | None, *question: object) -> float | str | None:
    """The same amount in one of the types that it is seen in; nothing at all is null or blank."""
    if money is None:
        return pick((None, ""), *question)
    whole = int(money) if money == int(money) else money
    return pick((money, whole, f"{money:.2f}", str(money)), *question)
