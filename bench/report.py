"""What a benchmark found: for the terminal, as a file, and for the page in `docs/` that tells it."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench import usage
from calltrack.embedded.procfile import ROOT

RESULTS = ROOT / "bench" / "results"
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    name: str
    #: what was measured, in a line
    about: str
    #: Markdown, one after the other
    tables: Sequence[str]
    #: every round
    data: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n\n".join([f"{self.about}; {machine()}.", *self.tables])


def machine() -> str:
    """What it was measured on, as far as others need to know."""
    return f"{usage.cores()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, with its columns aligned."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in (header, rule, *lines))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |"


def save(report: Report) -> Path:
    """Write every round to `bench/results/`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report.name}.json"
    found = {"about": report.about, "machine": machine(), "rounds": report.data}
    path.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def write_docs(report: Report) -> None:
    """Put the report between its two markers, `<!-- name -->` and `<!-- /name -->`, into the page that has them."""
    begin, end = f"<!-- {report.name} -->", f"<!-- /{report.name} -->"
    between = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    for page in DOCS.glob("*.md"):
        text = page.read_text()
        if between.search(text):
            page.write_text(between.sub(lambda found: f"{found[1]}{report}\n{found[2]}", text))
            return
    raise SystemExit(f"No page in docs/ has a place for {report.name}: give one the lines {begin} and {end}.")
