"""dlt: its REST source into its Postgres destination, merged by the call's id.

    python -m bench.peers.by_dlt defaults|tuned DATABASE_URL PROVIDER_URL PAGE_SIZE

The table is `dlt_defaults.calls` or `dlt_tuned.calls`. What dlt keeps from run to run is in its data folder.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

import dlt
from dlt.sources.rest_api import rest_api_source

from bench import turn


class Settings(NamedTuple):
    """Of the resource, of the run, and of the process."""

    resource: dict[str, Any]
    run: dict[str, Any]
    environ: dict[str, str]


SETTINGS = {
    "defaults": Settings({"write_disposition": "merge"}, {}, {}),
    "tuned": Settings(
        # no child tables, and one statement that inserts or updates, in place of a DELETE and an INSERT
        {"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "max_table_nesting": 0},
        {"loader_file_format": "csv"},
        # Two processes that normalize, where there are several files to share out.
        {"NORMALIZE__WORKERS": "2", "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "10000"},
    ),
}


def source(url: str, size: int, settings: dict[str, Any]) -> Any:
    calls = {
        "name": "calls",
        "primary_key": "uuid",
        # `$` and a step of our own: quicker than the path `[*].call`
        "endpoint": {"path": "/api/v2/calls.json", "params": {"per_page": size}, "data_selector": "$"},
        "processing_steps": [{"map": lambda wrapped: wrapped["call"]}],
        **settings,
    }
    return rest_api_source({"client": {"base_url": url, "paginator": "header_link"}, "resources": [calls]})


def main() -> None:
    which, database, url, size = sys.argv[1:]
    settings, name = SETTINGS[which], f"dlt_{which}"
    os.environ.update(settings.environ)
    calls = source(url, int(size), settings.resource)
    pipeline = dlt.pipeline(name, destination=dlt.destinations.postgres(credentials=database), dataset_name=name)
    turn.take(lambda: pipeline.run(calls, **settings.run).raise_on_failed_jobs())


if __name__ == "__main__":
    main()
