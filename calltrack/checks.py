"""Checks for what people write in an account's settings. Each raises `ValueError` that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import phonenumbers

from calltrack import networks
from calltrack.networks import Network


def time_zone(value: str) -> ZoneInfo:
    """An IANA time zone."""
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # no such zone, no such kind of name, a folder of zones
        raise ValueError(f"{value!r} is no time zone: write its IANA name, for example America/New_York") from None


def region(value: str) -> str:
    """A two-letter region, by which phone numbers without + are read; "none" leaves such numbers as they are."""
    if value != "none" and value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{value!r} is no region: write two capital letters, for example US, or none")
    return value


def url(value: str) -> str:
    """The base of an API."""
    if not re.fullmatch(r"https?://[\w.-]+(:\d+)?(/[\w./-]*)?", value, re.ASCII):
        raise ValueError(f"{value!r} is no base of an API: write it as https://api.example.com")
    return value.rstrip("/")


def name(value: str) -> str:
    """A name that may stand in a URL as one step."""
    if not re.fullmatch(r"\w[\w-]{0,99}", value, re.ASCII):
        raise ValueError(f"{value!r} is no name: write letters, digits, - and _ only")
    return value


def network(value: str) -> Network:
    """A network, or one address, of IPv4 or IPv6."""
    try:
        return networks.network(value)
    except ValueError:
        raise ValueError(f"{value!r} is no network: write {_meant(value)}") from None


def _meant(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        return "203.0.113.0/24, 203.0.113.7 or 2001:db8::/32, for example"


def day(value: str) -> date:
    """A day."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is no day: write it as 2026-01-31") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is none of the choices: write {' or '.join(choices)}")
        return value

    return check


def between(low: int, high: int) -> Callable[[str], int]:
    """A whole number in a range, both ends included."""

    def check(value: str) -> int:
        if not (value.isascii() and value.isdecimal()) or not low <= int(value) <= high:
            raise ValueError(f"{value!r} does not fit: write a whole number from {low} to {high}")
        return int(value)

    return check
