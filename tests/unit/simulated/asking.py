"""A client that knows the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from simulator import Simulator

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

Start = Callable[..., Simulator]
LISTS = {"retreaver": "/api/v2/calls.json", "convoso": "/log/retrieve", "trackdrive": "/calls", "ringba": "/calllogs"}
#: what asks for everything
ALL: dict[str, dict[str, Any]] = {
    "retreaver": {"per_page": 100},
    "convoso": {"limit": 500, "start_time": "2000-01-01 00:00:00"},
    "trackdrive": {"cursor": "-1", "per_page": 100},
    "ringba": {"size": 1000},
}


def get(sim: Simulator, provider: str, path: str, **params: Any) -> requests.Response:
    """Ask with the account's credentials. Where a list is asked for by POST, `params` go into the body."""
    if provider == "ringba" and path == LISTS["ringba"]:
        return send(sim, provider, "POST", path, json=call_logs(**params))
    if provider == "trackdrive" and "order" in params:
        params["order_dir"] = params.pop("order")
    return send(sim, provider, "GET", path, params=params)


def send(sim: Simulator, provider: str, method: str, path: str, **request: Any) -> requests.Response:
    """The same, in any way."""
    return ask(provider, sim.url(provider), sim.credentials(provider), method, path, **request)


def ask(
    provider: str, url: str, settings: Mapping[str, str], method: str, path: str, **request: Any
) -> requests.Response:
    """With these settings, at this URL; `request` as the library takes it."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy on the way to loopback, and no search for one
        if provider == "ringba":
            path = f"/{settings['account_id']}{path}"
            session.headers["Authorization"] = f"Token {settings['api_token']}"
        elif provider == "trackdrive":
            session.auth = (settings["public_key"], settings["private_key"])
        else:
            session.params = dict(settings)
        return session.request(method, url + path, timeout=10, **request)


def call_logs(order: str = "desc", **asked: Any) -> dict[str, Any]:
    """What asks Ringba for calls of all times."""
    return {
        "reportStart": "2000-01-01T00:00:00Z",
        "reportEnd": "2100-01-01T00:00:00Z",
        "orderByColumns": [{"column": "callDt", "direction": order}],
        **asked,
    }


def records(provider: str, answer: requests.Response) -> list[Any]:
    """The bare records of a page."""
    if provider == "convoso":
        found: list[Any] = answer.json()["data"]["results"]
        return found
    if provider == "ringba":
        return list(answer.json()["report"]["records"])
    if provider == "trackdrive":
        return list(answer.json()["calls"])
    return [record.get("call", record) if isinstance(record, dict) else record for record in answer.json()]


def id_of(record: Any) -> Any:
    return next(filter(None, map(record.get, IDS)), None) if isinstance(record, dict) else None


IDS = ("uuid", "id", "inboundCallId")
