"""Whole seconds and exact money."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from typing import Any

from calltrack.mapping.text import text

#: what `integer` holds
_LARGEST = 2**31 - 1
#: what `numeric(18, 6)` holds
_STEP = Decimal("0.000001")
_DIGITS = Context(prec=18)


def whole(value: Any) -> int | None:
    """A count or whole seconds, from a number or its text; a fraction is cut off. Negative or unreadable: `None`."""
    if value is None or value.__class__ is bool:
        return None
    try:
        number = int(value)
    except (ValueError, TypeError, OverflowError):
        number = _cut(value)
    return number if 0 <= number <= _LARGEST else None


def _cut(value: Any) -> int:
    """The whole part of a fraction; -1 for what is no number."""
    try:
        return int(float(text(value) or "nan"))
    except (ValueError, OverflowError):
        return -1


def money(value: Any) -> Decimal | None:
    """An exact amount, read by way of its text (5.1 is 5.1), with 6 decimals. Unreadable, or 10¹² and more: `None`."""
    if value is None or value.__class__ is bool:
        return None
    try:
        amount = Decimal(str(value)).quantize(_STEP, context=_DIGITS)
    except InvalidOperation:  # no number, an infinite one, or one with more digits than there are
        return None
    return None if amount.is_nan() else amount
