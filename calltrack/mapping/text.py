"""Text, and what counts as no text at all: "", blanks, "null", and a template token that nobody filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from calltrack.errors import RejectRecord

T = TypeVar("T")

ID_LIMIT = 255
#: longer text is cut: some of these columns are indexed, and an index row holds 2,700 bytes
TEXT_LIMIT = 500
LINK_LIMIT = 4000

#: `null`, `[call_uuid]`, `[Call:InboundCallId]`, `[tag:User:x]`. A name like "[TEST]" or "[1]" is none of these.
_NOTHING = re.compile(r"[nN][uU][lL][lL]|\[(?:[a-z][a-z0-9_]*|\w+(?::\w+)+)\]").fullmatch

_YES = frozenset({"true", "yes", "y", "1", "t", "on", "converted"})
_NO = frozenset({"false", "no", "n", "0", "f", "off", "not converted"})


def text(value: Any, limit: int = TEXT_LIMIT) -> str | None:
    """The trimmed text of a string or a number, cut at `limit` characters; `None` for a blank or anything else.

    NUL characters are taken out: Postgres stores them in neither text nor jsonb.
    """
    if value is None:
        return None
    found: str = value if value.__class__ is str else _written(value)
    if "\x00" in found:
        found = found.replace("\x00", "")
    found = found.strip()
    if not found or (found[0] in "nN[" and _NOTHING(found)):
        return None
    return found if len(found) <= limit else found[:limit]


def _written(value: Any) -> str:
    """A number as a person would write it: 22.0 is "22". Anything that is no number is ""."""
    if value.__class__ is int:
        return str(value)
    if value.__class__ is float:
        return str(int(value)) if value.is_integer() else str(value)
    return ""


def blank(value: Any) -> bool:
    """Whether this is no value: `None`, blank text, or an empty list or object."""
    if value.__class__ is str:
        return text(value) is None
    return value is None or value in ([], {})


def first(read: Callable[[Any], T | None], raw: dict[str, Any], *names: str) -> T | None:
    """What `read` makes of the first of these fields that it can read: `first(text, raw, "afid", "affiliate_id")`."""
    for name in names:
        value = raw.get(name)
        if value is not None and (found := read(value)) is not None:
            return found
    return None


def external_id(raw: dict[str, Any], *names: str) -> str:
    """The provider's id of the call. Raises `RejectRecord` where there is none, or one that is too long to be an id."""
    for name in names:
        found = text(raw.get(name), ID_LIMIT + 1)
        if found is not None:
            if len(found) > ID_LIMIT:
                raise RejectRecord(f"The call's id is longer than {ID_LIMIT} characters.", reason="id_too_long")
            return found
    raise RejectRecord(f"The record has no call id ({' or '.join(names)}).", reason="no_id")


def link(value: Any) -> str | None:
    """A URL as text, kept whole: one that is too long to be real is `None`."""
    found = text(value, LINK_LIMIT + 1)
    return found if found is not None and len(found) <= LINK_LIMIT else None


def flag(value: Any) -> bool | None:
    """True or false, from JSON, from 1 and 0, or from a word such as "yes" or "Converted"."""
    if value is None or value is True or value is False:
        return value
    word = (text(value) or "").lower()
    return True if word in _YES else False if word in _NO else None


def labels(value: Any) -> list[str] | None:
    """A list of texts, from a list or from one text with commas. Blanks and repetitions are left out."""
    parts = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else ()
    found = dict.fromkeys(label for label in map(text, parts) if label is not None)
    return list(found) or None


def kept(raw: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields of these names that are not blank, as they came."""
    return {
        name: value
        for name in names
        if (value := raw.get(name)) is not None and (value.__class__ is bool or not blank(value))
    }
