"""Syncing: start, resume and cancel runs; fetch and store pages."""

from __future__ import annotations

from calltrack.mapping.times import moment
from calltrack.sync import runs
from calltrack.sync.pull import fetch_on
from calltrack.sync.store import store_on
from tasks.app import app
from tasks.hints import send


@app.task(name="calltrack.sync_account", ignore_result=False)
def sync_account(
    provider: str,
    account: str | None = None,
    mode: str = "incremental",
    since: str | None = None,
    until: str | None = None,
) -> int:
    """Queue a sync of an account (by default the provider's only one) and return its run. Times are ISO 8601."""
    run_id, hints = runs.start(provider, account, mode, moment(since), moment(until))
    send(hints)
    return run_id


@app.task(name="calltrack.resume_run", ignore_result=False)
def resume_run(run_id: int) -> None:
    """Let a stopped run go on with the pages that are not stored."""
    send(runs.resume_run(run_id))


@app.task(name="calltrack.cancel_run", ignore_result=False)
def cancel_run(run_id: int) -> None:
    """Stop a run."""
    runs.cancel_run(run_id)


@app.task(name="calltrack.fetch_page")
def fetch_page(page_id: int, provider: str) -> None:  # noqa: ARG001 - the route reads the provider
    """Fetch a page, and those behind it while they come at once. Storing them comes next in the chain."""
    for hints in fetch_on(page_id):
        send(hints)


@app.task(name="calltrack.store_page")
def store_page(page_id: int, provider: str) -> None:
    """Store a page, and what else of the provider is fetched; after a run's last page, begin what waited for it."""
    for hints in store_on(page_id, provider):
        send(hints)
