"""A provider and the fixtures beside its declaration: recorded pages, calls and deliveries, and golden files.

    fixtures/settings.json                  an account's settings, secret ones made up
    fixtures/signature.json                 a signed delivery that was made elsewhere, as with openssl
    fixtures/pages/<dialect>/1.http …       recorded answers, as `curl --include` writes them, byte for byte
    fixtures/calls/<what>.json              further records, as the API gives them
    fixtures/webhooks/<event>__<what>.json  deliveries; also `.form` and `.query`

What the mapping makes of each lies beside it, as `….expected.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from requests.structures import CaseInsensitiveDict

from calltrack import registry
from calltrack.client.answer import Answer
from calltrack.errors import NotACall, RejectRecord
from calltrack.mapping import Context
from calltrack.model import CallRecord
from calltrack.provider import Provider

#: compares a value with the JSON in a file
Golden = Callable[[Path, Any], None]

_BLANK_LINE = re.compile(rb"(\r?\n){2}")


@dataclass(frozen=True)
class Recorded:
    """A provider and the fixtures in its package's folder."""

    provider: Provider

    def __str__(self) -> str:
        return self.provider.name

    @cached_property
    def folder(self) -> Path:
        package = import_module(registry.module(self.provider.name)).__package__
        return Path(str(files(str(package)))) / "fixtures"

    @cached_property
    def settings(self) -> dict[str, str]:
        """An account's settings, secret ones included."""
        return dict(self.json("settings.json"))

    @cached_property
    def context(self) -> Context:
        secret = {setting.name for setting in self.provider.settings if setting.secret}
        return Context({name: value for name, value in self.settings.items() if name not in secret})

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    def dialects(self) -> list[File]:
        return [File(path) for path in _entries(self.folder / "pages") if path.is_dir()]

    def calls(self) -> list[File]:
        return self._inputs("calls")

    def deliveries(self) -> list[File]:
        return self._inputs("webhooks")

    def _inputs(self, kind: str) -> list[File]:
        return [File(path) for path in _entries(self.folder / kind) if ".expected" not in path.suffixes]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every recorded call, from pages and alone."""
        for dialect in self.dialects():
            for page in dialect.answers():
                yield from self.provider.calls({"dialect": str(dialect)}).read(page)
        for call in self.calls():
            yield call.payload


@dataclass(frozen=True)
class File:
    """A fixture: a folder of pages, a call, or a delivery, whose type of event stands before the `__` of its name."""

    path: Path

    def __str__(self) -> str:
        return self.path.name

    @property
    def expected(self) -> Path:
        return self.path / "expected.json" if self.path.is_dir() else self.path.with_suffix(".expected.json")

    @property
    def event(self) -> str:
        return self.path.name.partition("__")[0]

    @property
    def payload(self) -> dict[str, Any]:
        body = self.path.read_text()
        if self.path.suffix == ".json":
            return dict(json.loads(body))
        return dict(parse_qsl(body.strip("\r\n"), keep_blank_values=True))

    def answers(self) -> list[Answer]:
        return [_answer(path) for path in sorted(self.path.glob("*.http"), key=lambda path: int(path.stem))]


def outcome(mapping: Callable[..., CallRecord], *arguments: Any) -> dict[str, Any]:
    """What a mapping gives, in JSON types: the fields that it filled, or why there is no call."""
    try:
        return _plain(mapping(*arguments))
    except RejectRecord as error:
        return {"rejected": error.reason}
    except NotACall:
        return {"not_a_call": True}


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _answer(path: Path) -> Answer:
    """What `curl --include` has written, or the same by hand: without the status, and with plain newlines."""
    head, _, body = _BLANK_LINE.split(path.read_bytes(), maxsplit=1)
    lines = [line.partition(": ") for line in head.decode().splitlines() if not line.startswith("HTTP/")]
    return Answer(200, CaseInsensitiveDict((name, value) for name, _, value in lines), body)


def _plain(record: CallRecord) -> dict[str, Any]:
    filled = {field.name: _json(getattr(record, field.name)) for field in fields(record) if field.name != "raw"}
    return {name: value for name, value in filled.items() if value not in (None, [])} | {"stage": record.stage().name}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        assert value.tzinfo is UTC
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.name if isinstance(value.value, int) else value.value
    return sorted(value) if isinstance(value, frozenset) else value
