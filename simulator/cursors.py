"""Cursors as TrackDrive's look: numbers of so many digits that a float cannot hold them.

    1.52800000000025037E+17

A client that reads one as a float and sends that back sends another number, and is refused.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation

#: what a client sends to begin, and what it gets at the end
FIRST, LAST = "-1", "0"

#: a one, seven digits of the time, seven of the offset, and three for the check
DIGITS = 18
TIMES = OFFSETS = 10**7
#: what every cursor leaves when divided by `CHECK`: an odd last digit, which no float of this size has
CHECK, LEFT = 970, 97


class Expired(ValueError):
    """The cursor was good, for a while."""


def write(offset: int, at: datetime) -> str:
    """The cursor of the page that begins here, handed out at this moment. It is JSON as it is."""
    number = ((TIMES + _hundredths(at)) * OFFSETS + offset) * 1000
    digits = str(number + (LEFT - number) % CHECK)
    return f"{digits[0]}.{digits[1:]}E+{DIGITS - 1}"


def read(text: str, now: datetime, lifetime: float = 0.0) -> int:
    """The offset. Raises `ValueError` for what was never handed out, `Expired` after so many seconds (0: never)."""
    number = _whole(text)
    if number is None or len(str(number)) != DIGITS or number % CHECK != LEFT:
        raise ValueError("cursor is invalid.")
    when, offset = divmod(number // 1000, OFFSETS)
    if lifetime and (_hundredths(now) - when) % TIMES >= lifetime * 100:
        raise Expired("cursor has expired.")
    return offset


def _whole(text: str) -> int | None:
    try:
        value = Decimal(text)
        return int(value) if value == value.to_integral_value() else None
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _hundredths(moment: datetime) -> int:
    """Of seconds, within 27 hours."""
    return int(moment.timestamp() * 100) % TIMES
