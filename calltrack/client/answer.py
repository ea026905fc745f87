"""What came back from a provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from calltrack.errors import UnreadableAnswer


@dataclass(frozen=True)
class Answer:
    """One HTTP response, whole. `headers` are case-insensitive where they come from the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body as JSON values. Raises `UnreadableAnswer` where it is cut off or no JSON at all."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            pass
        # Not in there: an error keeps what was being handled when it was raised, and orjson's error holds the body.
        raise UnreadableAnswer

    @cached_property
    def exact(self) -> Any:
        """As `json`, with every number as the text that it was written as."""
        try:
            return json.loads(self.body, parse_int=str, parse_float=str)
        except ValueError:
            pass
        raise UnreadableAnswer


def dig(value: Any, path: str) -> Any:
    """Follow a dotted path through dicts: `dig(answer.json, "data.results")`. "": the value itself. Absent: None."""
    for key in path.split(".") if path else ():
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
