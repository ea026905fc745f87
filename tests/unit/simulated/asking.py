"""A client that knows the keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests

from simulator import Simulator

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

Start = Callable[..., Simulator]
LISTS = {"retreaver": "/api/v2/calls.json", "convoso": "/log/retrieve"}
#: what asks for everything
ALL: dict[str, dict[str, Any]] = {
    "retreaver": {"per_page": 100},
    "convoso": {"limit": 500, "start_time": "2000-01-01 00:00:00"},
}


def get(sim: Simulator, provider: str, path: str, **params: Any) -> requests.Response:
    """Ask with the account's credentials."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy on the way to loopback, and no search for one
        return session.get(sim.url(provider) + path, params={**sim.credentials(provider), **params}, timeout=10)


def records(provider: str, answer: requests.Response) -> list[Any]:
    """The bare records of a page."""
    if provider == "convoso":
        found: list[Any] = answer.json()["data"]["results"]
        return found
    return [record.get("call", record) if isinstance(record, dict) else record for record in answer.json()]


def id_of(record: Any) -> Any:
    return (record.get("uuid") or record.get("id")) if isinstance(record, dict) else None
