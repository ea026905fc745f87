"""Phone numbers in E.164, where a number can be read so."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import phonenumbers

from calltrack.mapping.text import text

_E164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
#: ten digits in North America, with or without the 1: a short cut, for a look-up costs as much as the rest of a record
_NANP = re.compile(r"1?([2-9][0-9]{9})").fullmatch
_NANP_REGIONS = frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])


def phone(value: Any, region: str | None = None) -> str | None:
    """The number in E.164, or the text as it came where it is none ("anonymous", an extension, a SIP address).

    `region` ("US") says how to read a number without `+`; without a region such a number stays text. Whether the
    number is in service is not asked: providers send what was dialled.
    """
    if value.__class__ is str:
        if _E164(value):
            return value
        if region in _NANP_REGIONS and (short := _NANP(value)):
            return f"+1{short[1]}"
    found = text(value)
    return found and _looked_up(found, region)


@lru_cache(maxsize=10_000)
def _looked_up(found: str, region: str | None) -> str:
    if any(letter.isalpha() or letter == "@" for letter in found):
        return found  # vanity numbers and SIP addresses are not rewritten into what nobody dialled
    try:
        number = phonenumbers.parse(found, region)
    except phonenumbers.NumberParseException:
        return found
    if not phonenumbers.is_possible_number(number):
        return found
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
