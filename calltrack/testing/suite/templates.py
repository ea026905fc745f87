"""A provider's templates of requests: they name what fills them, and become requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from calltrack.accounts.forms import settings_of
from calltrack.client.ask import Ask
from calltrack.client.session import PATH
from calltrack.operations import UPDATES, Columns, Operations
from calltrack.testing.recorded import Recorded

PLACE = re.compile(r"\{(\w+)\}")
NUMBER = {"country", "toll_free", "kind", "area_code", "campaign", "publisher"}
#: operation → the places that its template may have besides settings; those with a ! it must have
PLACES_OF = {
    "tags": {"!id", "name", "!value"},
    "update": {"!id", "!value"},
    "register": {"!url", "event"},
    "provision": NUMBER,
    "report": {"!since", "!until"},
    **{kind: {"!id"} for kind in ("one", "unregister", "release", "campaign")},
    **{kind: set() for kind in ("webhooks", "numbers", "campaigns")},
}


def test_templates_name_only_what_is_given(recorded: Recorded) -> None:
    provider = recorded.provider
    known = {setting.name for setting in settings_of(provider)}
    for calls in provider.dialects.values():
        assert _places(calls.path) <= known
        if calls.one is not None:
            _check_places("one", calls.one, known)
    assert _places(provider.api_url) <= {setting.name for setting in provider.settings if setting.required}
    for kind, ask, _ in asks_of(provider.operations):
        _check_places(kind, ask, known)


def test_templates_become_requests(recorded: Recorded) -> None:
    provider = recorded.provider
    defaults = {setting.name: setting.default for setting in settings_of(provider) if setting.default}
    made_up = {name.strip("!"): "1" for places in PLACES_OF.values() for name in places}
    for _, ask, name in asks_of(provider.operations):
        request = ask.request({**made_up, **defaults, **recorded.settings})
        assert PATH.fullmatch(request.path), name
        assert not _places([request.path, request.params, request.json, request.form, request.base]), name


def test_what_must_not_be_done_twice_is_not_repeated(recorded: Recorded) -> None:
    operations = recorded.provider.operations
    once = [operations.provision, *(operations.update.get(name) for name in ("add_revenue", "add_payout"))]
    assert not any(ask.repeatable for ask in once if ask is not None)
    assert operations.update.keys() <= set(UPDATES)


def asks_of(operations: Operations) -> Iterator[tuple[str, Ask, str]]:
    """Every template, with the kind of its operation and a name."""
    for field, ask in operations.update.items():
        yield ("tags" if field == "tags" else "update"), ask, f"update {field}"
    for kind in ("webhooks", "numbers", "campaigns"):
        if (resource := getattr(operations, kind)) is not None:
            yield kind, resource.ask, kind
    for kind in ("register", "unregister", "provision", "release", "campaign"):
        if (ask := getattr(operations, kind)) is not None:
            yield kind, ask, kind
    for column, ask in operations.report.asks().items() if operations.report else ():
        yield "report", ask, f"report {column}".strip()


def _check_places(kind: str, ask: Ask, known: set[str]) -> None:
    allowed = {name.strip("!") for name in PLACES_OF[kind]}
    needed = {name[1:] for name in PLACES_OF[kind] if name.startswith("!")}
    found = _places([ask.path, ask.params, ask.json, ask.form, ask.base])
    assert found <= allowed | known, f"{kind}: nothing fills {sorted(found - allowed - known)}"
    assert needed <= found, f"{kind}: {sorted(needed - found)} is not asked for"


def _places(template: Any) -> set[str]:
    if isinstance(template, str):
        return set(PLACE.findall(template))
    parts = [*template.keys(), *template.values()] if isinstance(template, Mapping) else template
    return set().union(*map(_places, parts)) if isinstance(parts, list | tuple) else set()


def test_reports_can_be_read(recorded: Recorded) -> None:
    """Reports have lines."""
    operations = recorded.provider.operations
    if isinstance(operations.report, Columns):
        assert operations.report.columns.keys() <= {"calls", "converted", "revenue", "payout", "cost"}
    elif operations.report is not None:
        assert operations.report.fields[0]
