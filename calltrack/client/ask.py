"""Requests, and templates of requests: what a declaration says about one of a provider's endpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from calltrack.client.auth import Auth
from calltrack.errors import NotThere

_PLACE = re.compile(r"\{(\w+)\}")
_NOT_GIVEN = object()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to ask of a provider: below its base URL, and without credentials, which the client adds."""

    method: str = "GET"
    path: str
    #: the query
    params: Mapping[str, Any] = field(default_factory=dict)
    #: a JSON body; `Decimal` becomes a number, digit by digit
    json: Any = None
    #: a form body
    form: Mapping[str, str] | None = None
    #: another base than the account's, and what is shown there instead of the account's credentials
    base: str = ""
    auth: Auth | None = None
    #: asking twice does what asking once does: if nobody knows whether it was done, it may simply be asked again
    repeatable: bool = True


@dataclass(frozen=True)
class Ask:
    """A request as a template: `{name}` stands for a setting of the account, or for what the operation is about.

        Ask("GET", "/calls/{id}", found="call")
        Ask("POST", "/{account_id}/calllogs/detail", json={"InboundCallIds": ["{id}"]}, found="report.records")
        Ask("PUT", "/calls/{id}", json={"add_revenue": "{value}"}, repeatable=False)

    A value that is nothing but `{name}` keeps its type in a JSON body. What was not given is left out.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    #: dotted path to what was asked for, in the answer; "": all of it
    found: str = ""
    #: as in `Request`: not so where something is bought or added up
    repeatable: bool = True
    #: as in `Request`, with places
    base: str = ""
    auth: Auth | None = None

    def request(self, values: Mapping[str, Any]) -> Request:
        """The request with these values. Raises `NotThere` for a path that what was given would lead elsewhere."""
        return Request(
            method=self.method,
            path=fill_path(self.path, values),
            params=_texts(self.params, values),
            json=None if self.json is None else _filled(self.json, values),
            form=None if self.form is None else _texts(self.form, values),
            repeatable=self.repeatable,
            base=_text(_given(self.base, values)) if self.base else "",
            auth=self.auth,
        )


def fill_path(path: str, values: Mapping[str, Any]) -> str:
    """The path with what is known of its `{name}`s, each as one step. Raises `NotThere` for "..", which is none."""
    return _PLACE.sub(lambda place: _step(place, values), path)


def _step(place: re.Match[str], values: Mapping[str, Any]) -> str:
    if place[1] not in values:
        return place[0]
    step = str(values[place[1]])
    if not step.strip("."):
        raise NotThere
    return quote(step, safe="")


def _texts(template: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    found = _filled(template, values)
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, Mapping):
        pairs = ((_filled(name, values), _filled(value, values)) for name, value in template.items())
        return {name: value for name, value in pairs if value is not _NOT_GIVEN}
    if isinstance(template, list | tuple):
        return [value for one in template if (value := _filled(one, values)) is not _NOT_GIVEN]
    return _given(template, values) if isinstance(template, str) else template


def _given(template: str, values: Mapping[str, Any]) -> Any:
    """The text with its `{name}`s filled in; the value itself where it is nothing else."""
    if whole := _PLACE.fullmatch(template):
        value = values.get(whole[1])
        return _NOT_GIVEN if value is None else value
    return _PLACE.sub(lambda place: _text(values.get(place[1], place[0])), template)
