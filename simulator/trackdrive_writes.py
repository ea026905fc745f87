"""What a client may write on a TrackDrive call: money set or added, conversions, tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from simulator.calls import Call

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def wanted(call: Call, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The new values of the call's fields, and what was done, as `writes` counts it: `"revenue.added"`.

    Raises `ValueError` if any of it cannot be read: then nothing may be written. Fields unknown here do nothing.
    """
    fields: dict[str, Any] = {}
    done: list[str] = []
    for name, (write, word) in WRITES.items():
        if name in given:
            write(call, fields, name, given[name])
            done.append(word)
    return fields, done


def _set(call: Call, fields: dict[str, Any], name: str, value: Any) -> None:  # noqa: ARG001
    fields[name] = _money(name, value)


def _add(call: Call, fields: dict[str, Any], name: str, value: Any) -> None:
    """On top of what there is: twice is twice as much."""
    money = name.removeprefix("add_")
    fields[money] = fields.get(money, getattr(call, money) or Decimal(0)) + _money(name, value)


def _convert(call: Call, fields: dict[str, Any], name: str, value: Any) -> None:  # noqa: ARG001
    """One call of this world converts for its buyer and its offer, or for neither."""
    said = str(value).lower()
    if said not in TRUE | FALSE:
        raise ValueError(f"{name} must be a boolean value: 1, true, yes, on, 0, false, no, off.")
    fields["converted"] = said in TRUE
    fields["outcome"] = "SALE" if said in TRUE else "NI"


def _token(call: Call, fields: dict[str, Any], name: str, value: Any) -> None:  # noqa: ARG001
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a hash.")  # noqa: TRY004 - what a client sends is a value
    fields["tags"] = {str(key): str(text) for key, text in value.items()}


def _money(name: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name} must be a decimal number.") from None
    if not amount.is_finite():
        raise ValueError(f"{name} must be a decimal number.")
    return amount


#: field of the request → how it is written, and what that is counted as
WRITES: dict[str, tuple[Callable[[Call, dict[str, Any], str, Any], None], str]] = {
    "revenue": (_set, "revenue.set"),
    "payout": (_set, "payout.set"),
    "add_revenue": (_add, "revenue.added"),
    "add_payout": (_add, "payout.added"),
    "buyer_converted": (_convert, "conversion.set"),
    "offer_converted": (_convert, "conversion.set"),
    "post_call_tokens": (_token, "tokens.set"),
}
