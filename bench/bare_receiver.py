"""What the receiver is measured against: Flask, HMAC, `json.loads` and one INSERT, on one connection per thread."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading

import psycopg
from flask import Flask, request
from flask.typing import ResponseReturnValue

INSERT = """
INSERT INTO webhook_logs (account_id, provider, body, verified, dedup_key) VALUES (%s, 'retreaver', %b, true, %b)
ON CONFLICT (dedup_key) DO UPDATE SET repeats = webhook_logs.repeats + 1 RETURNING id, xmax = 0
"""
SECRET = os.environ["BENCH_SECRET"].encode()
ACCOUNT = os.environ["BENCH_ACCOUNT"]

app = Flask("bare")
kept = threading.local()


def verified() -> bytes | None:
    """The body, where its signature is right."""
    body = request.get_data()
    signature = hmac.digest(SECRET, body, "sha256").hex()
    return body if hmac.compare_digest(signature, request.headers.get("X-Signature", "")) else None


@app.post("/webhooks/retreaver")
def receive() -> ResponseReturnValue:
    body = verified()
    if body is None:
        return {"error": "bad_signature"}, 401
    json.loads(body)
    key = hashlib.blake2b(body, digest_size=16).digest()
    [(landed, fresh)] = connection().execute(INSERT, (ACCOUNT, body, key))
    return {"id": landed, "status": "accepted" if fresh else "duplicate"}, 202


def connection() -> psycopg.Connection:
    if not hasattr(kept, "connection"):
        kept.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=0)
    found: psycopg.Connection = kept.connection
    return found
