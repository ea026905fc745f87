"""A request and a reply, without the HTTP around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """What a client asked: the path below the stand-in's base, and query and form fields together."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    #: the port that it came in on
    port: int = 0
    method: str = "GET"
    #: by their names in small letters
    headers: Mapping[str, str] = field(default_factory=dict)
    #: what a JSON body holds; None: there was none, or no JSON
    json: Any = None


@dataclass(frozen=True)
class Reply:
    """What goes back, and how it goes wrong on the way."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON
    #: break the connection in the middle of the body
    breaks: bool = False
    #: seconds of silence, after which the connection closes without an answer
    silence: float = 0.0


def as_json(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, orjson.dumps(value), headers)
