"""Watching runs until they end, with a bar for each: rows, rate, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import text

from calltrack.db.session import engine
from calltrack.sync import progress

#: seconds between two looks
INTERVAL = 0.25
OPEN = frozenset({"queued", "running"})
_RUNS = text("SELECT *, now() AS now FROM sync_runs WHERE id = ANY(:ids) ORDER BY id")


def summaries(run_ids: Sequence[int]) -> list[dict[str, Any]]:
    """How far these runs are, as `calltrack.sync.progress.summary` says it, with the reason where one stopped."""
    with engine().connect() as connection:
        runs = connection.execute(_RUNS, {"ids": list(run_ids)}).mappings().all()
    return [{**progress.summary(run, run["now"]), "reason": run["reason"], "error": run["error"]} for run in runs]


def follow(run_ids: Sequence[int], stop: Callable[[], bool] = lambda: False) -> list[dict[str, Any]]:
    """Show the runs on stderr until all have ended (or `stop` says so), and return how they ended."""
    with _display() as display:
        bars: dict[int, TaskID] = {}
        while True:
            runs = summaries(run_ids)
            for run in runs:
                _show(display, bars, run)
            if stop() or all(run["status"] not in OPEN for run in runs):
                return runs
            time.sleep(INTERVAL)


def _display() -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:>8,} rows  {task.fields[rate]:>7,.0f}/s  {task.fields[left]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _show(display: Progress, bars: dict[int, TaskID], run: dict[str, Any]) -> None:
    if run["run_id"] not in bars:
        bars[run["run_id"]] = display.add_task("", rows=0, rate=0.0, left="")
    display.update(
        bars[run["run_id"]],
        description=f"{run['provider']} run {run['run_id']} {run['status']}",
        # What a provider says beforehand is an estimate: a bar that is done is full.
        total=run["fetched"] if run["status"] == "completed" else max(run["expected"] or 0, run["fetched"]) or None,
        completed=run["fetched"],
        rows=run["fetched"],
        rate=run["rate"],
        left=_left(run),
    )


def _left(run: dict[str, Any]) -> str:
    if run["eta_seconds"] is not None:
        return f"about {run['eta_seconds']:.0f} s left"
    return run["error"] or ""
