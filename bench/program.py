"""Benchmarks that are programs of their own: what they print is what they found."""

from __future__ import annotations

import subprocess
import sys

from bench.report import Report
from calltrack.embedded.procfile import ROOT

#: the lines that sum up all rounds begin with this
SUMMARY = "median"


def run(name: str, about: str, options: list[str]) -> Report:
    """Run `bench/<name>.py`, show what it prints, and keep it."""
    lines = []
    command = [sys.executable, "-m", f"bench.{name}", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode:
        raise SystemExit(f"bench.{name} failed.")
    summary = [line for line in lines if line.startswith(SUMMARY)] or lines
    return Report(name, about, ["\n".join(f"    {line}" for line in summary)], {"printed": lines})
