"""What people write about a change, read before anything is asked of a provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from calltrack import mapping as read
from calltrack.client.ask import Ask
from calltrack.errors import FixConfiguration
from calltrack.operations import MONEY

_AMOUNT = re.compile(r"[+-]?\d{1,12}(\.\d{1,6})?", re.ASCII).fullmatch
_PLACE = re.compile(r"\{(\w+)\}")


def value(field: str, given: object) -> Decimal | bool:
    """What a field of a call is to become. Raises `FixConfiguration`."""
    return amount(field, given) if field in MONEY else flag(field, given)


def amount(field: str, given: object) -> Decimal:
    """An exact amount of money, digit by digit as it was written. Raises `FixConfiguration`."""
    text = str(given).strip()
    if not _AMOUNT(text):
        raise FixConfiguration(f"{field}: {text!r} is no amount: write a number with at most 6 decimals, as 12.50.")
    return Decimal(text)


def flag(field: str, given: object) -> bool:
    """True or false. Raises `FixConfiguration`."""
    found = read.flag(given)
    if found is None:
        raise FixConfiguration(f"{field}: write yes or no, not {given!r}.")
    return found


def tag(ask: Ask, name: str) -> None:
    """Whether a tag can have this name. Raises `FixConfiguration`: some have a meaning of their own in the request."""
    if not name.strip() or name in {**ask.params, **(ask.form or {})}:
        raise FixConfiguration(f"{name!r} cannot be the name of a tag: choose another one.")


def takes(ask: Ask, wanted: Mapping[str, object], title: str) -> None:
    """Whether all that is wanted has a place in the request. Raises `FixConfiguration`: it would be passed over."""
    places = _PLACE.findall(f"{ask.path}{ask.params}{ask.json}{ask.form}")
    unknown = [name for name, value in wanted.items() if value is not None and name not in places]
    if unknown:
        raise FixConfiguration(f"{title} takes no {' and no '.join(unknown)} here: leave that out.")
