"""Every provider's recorded data, and golden files beside it.

`pytest tests/providers --update-golden` writes what the mappings give, and review reads it. A missing one fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from requests.structures import CaseInsensitiveDict

from calltrack import providers, registry
from calltrack.client.answer import Answer
from calltrack.errors import NotACall, RejectRecord
from calltrack.model import CallRecord
from calltrack.provider import Context, Provider


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write what the mappings give beside the fixtures")


def pytest_configure(config):
    if config.getoption("--update-golden", default=False) and os.environ.get("CI"):
        raise pytest.UsageError("Golden files are written by a person who reads them, never in CI.")


def pytest_generate_tests(metafunc):
    """One test per provider, per folder of pages, per recorded call, per recorded delivery: whatever it asks for."""
    every = [Recorded(registry.get(name)) for name in registry.names()]
    for kind, files in {
        "pages": Recorded.dialects,
        "call_file": Recorded.calls,
        "delivery": Recorded.deliveries,
    }.items():
        if kind in metafunc.fixturenames:
            cases = [(recorded, file) for recorded in every for file in files(recorded)]
            metafunc.parametrize(("recorded", kind), cases, ids=str)
            return
    if "recorded" in metafunc.fixturenames:
        metafunc.parametrize("recorded", every, ids=str)


@dataclass(frozen=True)
class Recorded:
    """A provider and the fixtures in its folder."""

    provider: Provider

    def __str__(self) -> str:
        return self.provider.name

    @property
    def folder(self) -> Path:
        return Path(providers.__path__[0]) / self.provider.name / "fixtures"

    @cached_property
    def settings(self) -> dict[str, str]:
        return self.json("settings.json")

    @cached_property
    def context(self) -> Context:
        secret = {setting.name for setting in self.provider.settings if setting.secret}
        return Context({name: value for name, value in self.settings.items() if name not in secret})

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    def dialects(self) -> list[File]:
        return [File(path) for path in sorted((self.folder / "pages").iterdir())]

    def calls(self) -> list[File]:
        return self._inputs("calls")

    def deliveries(self) -> list[File]:
        return self._inputs("webhooks")

    def _inputs(self, kind: str) -> list[File]:
        return [File(path) for path in sorted((self.folder / kind).iterdir()) if ".expected" not in path.suffixes]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every recorded call, from pages and alone."""
        for dialect in self.dialects():
            for page in dialect.answers():
                yield from self.provider.calls({"dialect": str(dialect)}).read(page)
        for call in self.calls():
            yield call.payload


@dataclass(frozen=True)
class File:
    """A fixture: a folder of pages, a call, or a webhook, whose type of event stands before the `__` of its name."""

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
        return json.loads(body) if self.path.suffix == ".json" else dict(parse_qsl(body, keep_blank_values=True))

    def answers(self) -> list[Answer]:
        """Recorded answers: headers, an empty line, and the body byte for byte."""
        return [_answer(path) for path in sorted(self.path.glob("*.http"), key=lambda path: int(path.stem))]


def _answer(path: Path) -> Answer:
    head, _, body = path.read_bytes().partition(b"\n\n")
    headers = CaseInsensitiveDict(line.split(": ", 1) for line in head.decode().splitlines())
    return Answer(200, headers, body)


@pytest.fixture
def golden(request) -> Callable[[Path, Any], None]:
    """Compare a value with the JSON in a file."""

    def compare(path: Path, value: Any) -> None:
        if request.config.getoption("--update-golden", default=False):
            path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        assert path.exists(), (
            f"{path.name} is missing: write it with `pytest tests/providers --update-golden`, and read it"
        )
        assert value == json.loads(path.read_text())

    return compare


@pytest.fixture
def outcome() -> Callable[..., dict[str, Any]]:
    """What a mapping gives, in JSON types: the fields that it filled, or why there is no call."""

    def read(mapping: Callable[..., CallRecord], *arguments: Any) -> dict[str, Any]:
        try:
            return _plain(mapping(*arguments))
        except RejectRecord as error:
            return {"rejected": error.reason}
        except NotACall:
            return {"not_a_call": True}

    return read


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
