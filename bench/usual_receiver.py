"""What calltrack's webhooks are measured against: the usual design, a Celery message and a row for each webhook.

Flask checks the signature and sends the body on as a task's argument; a worker makes one row of it and upserts it, a
commit each. There is nothing else: no landing (what the broker loses is lost), no ledger, no merge, no change log.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
from celery import Celery
from flask import Flask
from flask.typing import ResponseReturnValue

from bench.bare_receiver import verified
from bench.loop import COLUMNS, row

PLACES = ", ".join(f"%s::{kind}" for kind in COLUMNS.values())
UPSERT = f"""
INSERT INTO calls ({", ".join(COLUMNS)}) VALUES ({PLACES})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}, updated_at = now()
"""
ACCOUNT = UUID(os.environ["BENCH_ACCOUNT"])
QUEUE = "usual"

app = Flask("usual")
celery = Celery("usual", broker=os.environ["CELERY_BROKER_URL"])
celery.conf.update(
    task_ignore_result=True,
    task_default_queue=QUEUE,
    worker_prefetch_multiplier=64,  # the quickest of what was tried
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.post("/webhooks/retreaver")
def receive() -> ResponseReturnValue:
    body = verified()
    if body is None:
        return {"error": "bad_signature"}, 401
    store.delay(json.loads(body))
    return {"status": "accepted"}, 202


@celery.task(name="usual.store")
def store(payload: dict[str, Any]) -> None:
    connection().execute(UPSERT, row(ACCOUNT, payload["call"]))


@cache
def connection() -> psycopg.Connection:
    """Of this worker process: it is made in the child, on first use."""
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=0)
